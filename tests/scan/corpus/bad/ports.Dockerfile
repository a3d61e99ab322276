FROM debian:12.7-slim@sha256:b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2
ARG DEBUG_PORT=5005
EXPOSE 8080 20-25/tcp \
       2375
EXPOSE $DEBUG_PORT 5900/udp
HEALTHCHECK CMD ["/app", "ping"]
USER app
# expect: sensitive-port@3 sensitive-port@3 sensitive-port@3 sensitive-port@4 sensitive-port@5
