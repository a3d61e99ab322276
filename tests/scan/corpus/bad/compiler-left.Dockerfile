FROM python:3.12.7-slim@sha256:b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2
COPY requirements.txt .
RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      build-essential gcc-12 \
 && pip install --no-cache-dir -r requirements.txt \
 && rm -rf /var/lib/apt/lists/*
USER app
# expect: build-tools@4
