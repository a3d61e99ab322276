FROM alpine:3.20@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1
COPY entry.sh stored /usr/local/bin/
ENTRYPOINT ["entry.sh"]
# expect: root-user@1
