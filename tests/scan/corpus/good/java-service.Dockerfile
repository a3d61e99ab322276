FROM maven:3.9.9-eclipse-temurin-17@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1 AS package
WORKDIR /build
COPY pom.xml .
RUN --mount=type=cache,target=/root/.m2 mvn -B -q dependency:go-offline
COPY src src
RUN --mount=type=cache,target=/root/.m2 mvn -B -q package -DskipTests

FROM eclipse-temurin:17.0.13_11-jre-noble@sha256:a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1
RUN groupadd --system --gid 2000 orders && useradd --system --uid 2000 --gid orders orders
COPY --from=package --chown=root:orders /build/target/orders.jar /app/orders.jar
USER orders
ENV JAVA_TOOL_OPTIONS="-XX:MaxRAMPercentage=70 -XX:+ExitOnOutOfMemoryError"
EXPOSE 8080/tcp
HEALTHCHECK --interval=15s --timeout=3s --start-period=40s \
    CMD ["java", "-cp", "/app/orders.jar", "com.example.Probe"]
ENTRYPOINT ["java", "-jar", "/app/orders.jar"]
