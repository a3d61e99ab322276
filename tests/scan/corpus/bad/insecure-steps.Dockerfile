# syntax=docker/dockerfile:1-labs
FROM debian:12.7-slim@sha256:b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2
RUN --security=insecure mount -t proc proc /mnt
RUN --network=host make fetch
RUN --mount=type=bind,source=/var/run/docker.sock,target=/var/run/docker.sock docker pull example/a
VOLUME /var/run/docker.sock
RUN docker run --rm --privileged --net=host -v /var/run/docker.sock:/s example/a && docker build --network host .
USER app
# expect: privileged@3 host-network@4 docker-socket@5 docker-socket@6 privileged@7
# expect: host-network@7 docker-socket@7
