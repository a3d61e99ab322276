FROM debian:12.7-slim@sha256:b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2
COPY --chmod=4755 helper /usr/local/bin/
RUN chmod u+s /usr/bin/helper; \
    chmod 6755 /usr/bin/other; \
    install -o root -m 4711 tool /usr/bin/tool
RUN chmod g+s /srv/shared && chmod 1777 /tmp && chmod -s /bin/su
USER app
# expect: setuid@2 setuid@3 setuid@4 setuid@5
