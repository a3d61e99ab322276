FROM alpine:3.20.3@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1
WORKDIR /opt/tool
COPY tool.c .
RUN apk add --no-cache --virtual .build gcc musl-dev \
 && gcc -O2 -o /usr/local/bin/tool tool.c \
 && apk del .build \
 && adduser -D -u 3000 tool
USER tool
ENTRYPOINT ["/usr/local/bin/tool"]
CMD ["--help"]
