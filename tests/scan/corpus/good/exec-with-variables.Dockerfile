FROM eclipse-temurin:17.0.13_11-jre-noble@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1
COPY --chmod=0644 h2o.jar /opt/h2o.jar
RUN useradd --uid 1800 h2o
USER h2o
# The heap is set where the container's limit is.
ENV HEAP_MB=700
EXPOSE 54321
HEALTHCHECK --start-period=20s CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/54321"]
CMD exec java -Xmx${HEAP_MB}m -jar /opt/h2o.jar -port 54321
