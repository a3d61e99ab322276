FROM eclipse-temurin:17.0.13_11-jre@sha256:b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2 AS run
ENV HEAP=800m
ENV JAVA_OPTS="-Xmx${HEAP}"
USER app
FROM run
# expect:
