FROM debian:12.7-slim@sha256:b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2
COPY .env id_rsa /app/
ADD ["certs/server.key", "/etc/ssl/"]
COPY --chown=app .ssh/ \
     .docker/config.json \
     /home/app/
COPY <<EOF /home/app/key
-----BEGIN OPENSSH PRIVATE KEY-----
EOF
USER app
# expect: secret-file@2 secret-file@2 secret-file@3 add-for-copy@3 secret-file@4 secret-file@5 secret-value@8
