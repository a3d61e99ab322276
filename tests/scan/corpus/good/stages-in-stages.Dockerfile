ARG BASE=python:3.12.7-slim-bookworm@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1
ARG MISSING
FROM ${BASE} as base
RUN useradd --uid 1700 runner
USER runner

FROM base AS tests
USER root
RUN pip install --no-cache-dir pytest==8.3.3
USER runner
CMD ["pytest"]

FROM ${MISSING:-base} AS final
COPY --from=0 /etc/passwd /tmp/passwd
COPY job.py /srv/
CMD ["python", "/srv/job.py"]
