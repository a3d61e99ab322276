FROM debian:12.7-slim@sha256:b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2
ENV NODE_TLS_REJECT_UNAUTHORIZED=0
RUN curl -fsSLko /tmp/a https://example.com/a
RUN wget --no-check-certificate https://example.com/b
RUN git config --global http.sslVerify false
RUN npm config set strict-ssl false
RUN pip install --trusted-host example.com thing==1.0
RUN export GIT_SSL_NO_VERIFY=1 && git clone https://example.com/c
USER app
# expect: tls-off@2 tls-off@3 tls-off@4 tls-off@5 tls-off@6 tls-off@7 tls-off@8
