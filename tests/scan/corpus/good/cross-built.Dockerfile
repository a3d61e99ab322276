ARG XX=tonistiigi/xx:1.6.1@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1
FROM --platform=$BUILDPLATFORM ${XX} AS xx
FROM --platform=$BUILDPLATFORM golang:1.23-alpine@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1 AS build
COPY --from=xx / /
WORKDIR /src
COPY go.mod go.sum .
ARG TARGETPLATFORM
ARG TOOL_SHA256=a1a1a1a1
RUN wget -O /tmp/tool.tar "https://example.com/tool-1.2.tar"; \
    echo "$TOOL_SHA256 */tmp/tool.tar" | sha256sum -c -
COPY main.go .
RUN xx-go build -o /out/serve . && xx-verify /out/serve

FROM gcr.io/distroless/static-debian12:nonroot@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1
COPY --from=build /out/serve /serve
ENTRYPOINT ["/serve"]
