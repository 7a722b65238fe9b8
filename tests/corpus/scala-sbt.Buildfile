FROM sbtscala/scala-sbt:eclipse-temurin-17_1.9.9_2.13.13 AS sbt
WORKDIR /src
COPY project/build.properties project/plugins.sbt project/
COPY build.sbt ./
RUN sbt update
COPY . .
RUN sbt 'set assembly / test := {}' assembly
FROM distroless/java17:nonroot
COPY --from=sbt /src/target/scala-2.13/*-assembly-*.jar /app.jar
USER nonroot
CMD ["/app.jar"]
