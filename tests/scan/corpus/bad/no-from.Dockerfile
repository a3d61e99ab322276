RUN curl https://example.com/a | sh
# expect: syntax@1
