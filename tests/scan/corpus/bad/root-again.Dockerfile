FROM debian:12.7-slim@sha256:b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2 AS base
USER app

FROM base
USER 0:0
CMD ["/app"]
# expect: root-user@5
