# syntax=docker/dockerfile:1
FROM debian:12.7-slim@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1 AS fetch
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
ARG PROM=2.55.0
ARG PROM_SHA256=7a6b6d5ff003e8416863a0d3ba3f9c2de4c8a18a4d5d9a4d7b0a7d9a94b4c5f1
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates curl gnupg \
 && rm -rf /var/lib/apt/lists/*
RUN curl -fsSLo /tmp/p.tgz "https://example.com/prometheus-${PROM}.tar.gz" \
 && echo "${PROM_SHA256}  /tmp/p.tgz" | sha256sum -c - \
 && tar -xzf /tmp/p.tgz -C /opt
RUN curl -fsSL https://example.com/signing.asc | gpg --dearmor -o /usr/share/keyrings/example.gpg
ADD --checksum=sha256:24454f830cdb571e2c4ad15481119c43b3cafd48dd869a9b2945d1036d1dc68d https://example.com/data.bin /opt/
ADD https://git.example.com/team/rules.git#0123456789abcdef0123456789abcdef01234567 /opt/rules
ADD models.tar.gz /opt/models/

FROM debian:12.7-slim@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1
COPY --from=fetch /opt /opt
RUN chmod 0755 /opt/run && chmod -R a-s,go-w /opt && find / -xdev -perm /6000 -type f -exec chmod a-s {} +
USER nobody
CMD ["/opt/run"]
