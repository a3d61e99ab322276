FROM debian:12.7-slim@sha256:b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2
RUN curl -fsSL https://example.com/install.sh | sh
RUN wget -qO- https://example.com/setup | \
    sudo -E bash -
RUN bash <(curl -s https://example.com/x) && sh -c "$(curl -fsSL https://example.com/y)"
RUN eval "$(wget -O - https://example.com/env)"
RUN ["bash", "-c", "curl https://example.com/z | tee /tmp/z | python3 -"]
RUN <<EOF
set -e
curl -sSL https://example.com/more.sh |
  sh -s -- --yes
EOF
ONBUILD RUN curl https://example.com/late | sh
USER app
# expect: pipe-to-shell@2 pipe-to-shell@4 pipe-to-shell@5 pipe-to-shell@5 pipe-to-shell@6 pipe-to-shell@7
# expect: pipe-to-shell@11 pipe-to-shell@13
