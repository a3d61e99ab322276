FROM debian:12.7-slim@sha256:b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2
USER app
CMD ["overridden"]
ENTRYPOINT java -jar /app.jar
CMD ['--port', '80']
# expect: shell-form@4 shell-form@5
