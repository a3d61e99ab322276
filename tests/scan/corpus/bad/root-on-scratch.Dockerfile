FROM scratch
COPY app /app
ENTRYPOINT ["/app"]
# expect: root-user@1
