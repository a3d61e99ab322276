COPY early /
FROM debian:12.7-slim@sha256:b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2 AS
FORM debian
RUN
ONBUILD FROM debian
USER root
RUN <<EOF
never ends
# expect: syntax@1 syntax@2 syntax@3 syntax@4 syntax@5 syntax@7 root-user@6
