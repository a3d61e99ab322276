FROM debian:12.7-slim@sha256:b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2
ARG RUN_AS=root
USER ${RUN_AS}
CMD ["/app"]
# expect: root-user@3
