FROM debian:12.7-slim@sha256:b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2
EXPOSE 8080
HEALTHCHECK NONE
USER app
CMD ["/app"]
# expect: no-healthcheck@3
