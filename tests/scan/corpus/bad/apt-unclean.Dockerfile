FROM debian:12.7-slim@sha256:b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2
RUN apt-get update
RUN apt-get install -y nginx
RUN apt-get update && \
    apt-get install -y --no-install-recommends redis && \
    apt-get clean
USER app
# expect: apt-update-apart@2 apt-lists@2 apt-recommends@3 apt-lists@4
