FROM gradle:8.7-jdk17 AS compile
COPY --chown=gradle:gradle . /home/gradle/project
WORKDIR /home/gradle/project
RUN --mount=type=cache,uid=1000,gid=1000,target=/home/gradle/.gradle/caches \
    gradle clean bootJar --no-daemon --console=plain
FROM eclipse-temurin:17-jre-alpine
RUN apk --no-cache add curl tzdata
ENV TZ Europe/Berlin
COPY --from=compile /home/gradle/project/build/libs/*.jar /opt/service.jar
EXPOSE 8080 8081
HEALTHCHECK --start-period=45s --start-interval=2s CMD curl -fsS localhost:8081/actuator/health
ENTRYPOINT exec java -XX:MaxRAMPercentage=75 -jar /opt/service.jar
