FROM debian:12.7-slim@sha256:b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2 AS base
EXPOSE 8080
FROM base
USER app
CMD ["/app"]
# expect: no-healthcheck@3
