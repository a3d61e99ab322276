# syntax=docker/dockerfile:1
FROM node:22.11.0-alpine3.20@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1 AS install
ARG TOKEN_FILE=/run/secrets/npm
ARG NPM_TOKEN_URL=https://registry.example.com/-/token
ENV SECRET_NAME=npm \
    MAX_TOKENS=4096 \
    PASSWORD_MIN_LENGTH=12
WORKDIR /app
COPY package*.json .env.example ./
RUN --mount=type=secret,id=npm,target=/run/secrets/npm \
    NPM_TOKEN="$(cat "$TOKEN_FILE")" npm ci --omit=dev
RUN --mount=type=ssh ssh-keyscan git.example.com > /tmp/known_hosts

FROM node:22.11.0-alpine3.20@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1
ENV DB_PASSWORD_FILE=/run/secrets/db
COPY --from=install /app/node_modules /app/node_modules
COPY certs/ca.pem certs/fullchain.pem /etc/ssl/app/
COPY index.js /app/
USER 1000
CMD ["node", "/app/index.js"]
