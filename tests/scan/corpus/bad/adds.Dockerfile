FROM debian:12.7-slim@sha256:b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2
ADD app.py config.json /app/
ADD https://example.com/tool.tar.gz /opt/
ADD https://github.com/example/rules.git#main /opt/rules
ADD git@github.com:example/rules.git /opt/rules
ARG WHICH=v1.2
ADD https://github.com/example/more.git#${WHICH} /opt/more
ADD https://github.com/example/more.git#${UNKNOWN} /opt/more
USER app
# expect: add-for-copy@2 add-for-copy@2 add-unverified@3 add-unverified@4 add-unverified@5 add-unverified@7
