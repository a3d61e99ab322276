FROM debian:12.7-slim@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN set -eux; \
    groupadd --system --gid 999 queue; \
    useradd --system --uid 999 --gid queue --home-dir /var/lib/queue queue; \
    apt-get update; \
    apt-get install -y --no-install-recommends gosu; \
    rm -rf /var/lib/apt/lists/*; \
    gosu nobody true
COPY queued /usr/local/bin/
VOLUME ["/var/lib/queue"]
EXPOSE 4222
HEALTHCHECK CMD ["queued", "ping"]
# The volume belongs to whoever mounts it until the program has taken it over.
ENTRYPOINT ["gosu", "queue", "queued"]
CMD ["--data", "/var/lib/queue"]
