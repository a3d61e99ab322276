ARG BASE=registry.example.com:5000/team/base
FROM ${BASE} AS one
FROM python:latest AS two
FROM debian:12.7-slim AS three
FROM one
COPY --from=example/tools:latest /bin/tool /bin/
COPY --from=two /a /a
COPY --from=1 /b /b
USER app
# expect: image-tag@2 image-tag@3 image-digest@4 image-tag@6
