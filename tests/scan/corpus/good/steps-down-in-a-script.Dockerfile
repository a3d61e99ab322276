FROM alpine:3.20@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1
RUN set -eux; \
    addgroup -S -g 999 store; \
    adduser -S -u 999 -G store store; \
    apk add --no-cache su-exec; \
    su-exec nobody true
COPY entry.sh stored /usr/local/bin/
VOLUME ["/var/lib/store"]
EXPOSE 4222
HEALTHCHECK CMD ["stored", "ping"]
# It gives the volume to store, and becomes it.
ENTRYPOINT ["entry.sh"]
CMD ["stored"]
