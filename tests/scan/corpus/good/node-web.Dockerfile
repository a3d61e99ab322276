FROM node:22.11.0-bookworm-slim@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1 AS deps
WORKDIR /web
COPY package.json package-lock.json ./
RUN npm ci

FROM deps AS compiled
COPY tsconfig.json ./
COPY src ./src
RUN npm run build && npm prune --omit=dev

FROM node:22.11.0-bookworm-slim@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1
ENV NODE_ENV=production
WORKDIR /web
COPY --from=compiled --chown=node:node /web/node_modules ./node_modules
COPY --from=compiled --chown=node:node /web/dist ./dist
USER node
EXPOSE 3000
HEALTHCHECK --start-period=5s CMD ["node", "dist/healthcheck.js"]
CMD ["node", "--enable-source-maps", "dist/server.js"]
