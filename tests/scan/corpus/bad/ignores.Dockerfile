# tidegate: ignore=image-digest
FROM debian:12.7-slim
# tidegate: ignore=no-such-rule because
# tidegate: ignore=setuid,tls-off nothing here does either
# tidegate: silence everything
RUN true
RUN set -e; \
    # tidegate: ignore=tls-off the mirror's certificate is its own
    curl -k https://mirror.example.com/a -o /a
USER app
# tidegate: ignore=root-user below everything
# expect: ignore-without-reason@1 image-digest@2 ignore-unclear@3 ignore-unused@4 ignore-unused@4 ignore-unclear@5
# expect: ignore-unused@11
