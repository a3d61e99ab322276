FROM debian:12.7-slim@sha256:b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2
ARG NPM_TOKEN
ARG DB_PASSWORD=hunter2
ENV API_KEY="abc-123" \
    TOKEN_TTL=60 \
    AWS_ID=AKIAIOSFODNN7EXAMPLE
ENV SECRET_KEY $NPM_TOKEN
ENV PIP_INDEX_URL=https://bot:letmein@packages.example.com/simple
LABEL note="-----BEGIN RSA PRIVATE KEY-----"
RUN git clone https://bot:letmein@git.example.com/app.git
USER app
# expect: secret-argument@2 secret-value@3 secret-value@4 secret-value@6 secret-value@7 secret-value@8
# expect: secret-value@9 secret-value@10
