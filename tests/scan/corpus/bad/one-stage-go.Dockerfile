FROM golang:1.23.2@sha256:b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2
WORKDIR /src
COPY . .
RUN go build -o /app ./cmd/app
USER app
CMD ["/app"]
# expect: build-tools@4
