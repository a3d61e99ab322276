# syntax=docker/dockerfile:1
ARG PYTHON=python:3.12.7-slim-bookworm@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1

FROM ${PYTHON} AS build
WORKDIR /build
COPY requirements.txt ./
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --require-hashes -r requirements.txt

FROM ${PYTHON}
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1
RUN apt-get update \
    # a signal handler and reaper as process 1
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home api
COPY --from=build /opt/venv /opt/venv
COPY app /srv/app
WORKDIR /srv
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=2s CMD ["python", "-m", "app.health"]
ENTRYPOINT ["tini", "--"]
CMD ["uvicorn", "app.main:app", "--host", "0.0.0.0", "--port", "8000"]
