FROM gradle:8-jdk21 AS build
COPY --chown=gradle . /home/gradle/src
WORKDIR /home/gradle/src
RUN gradle --no-daemon linkReleaseExecutableNative
FROM debian:12-slim AS base
RUN apt-get update && apt-get install -y libcurl4 && rm -rf /var/lib/apt/lists/*
FROM base
COPY --from=build /home/gradle/src/build/bin/native/releaseExecutable/*.kexe /usr/bin/app.kexe
ENTRYPOINT [ "app.kexe" ]
