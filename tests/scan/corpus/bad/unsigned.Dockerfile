FROM debian:12.7-slim@sha256:b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2
RUN echo "deb [trusted=yes] https://packages.example.com stable main" > /etc/apt/sources.list.d/x.list \
 && apt-get update \
 && apt-get install -y --no-install-recommends --allow-unauthenticated thing \
 && rm -rf /var/lib/apt/lists/*
FROM alpine:3.20
RUN apk add --no-cache --allow-untrusted /tmp/thing.apk
USER app
# expect: unsigned-packages@2 unsigned-packages@4 unsigned-packages@7
# expect: image-digest@6
