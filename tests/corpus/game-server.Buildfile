FROM steamcmd/steamcmd:ubuntu-22 AS game
ARG APPID=740
RUN steamcmd +force_install_dir /server +login anonymous +app_update ${APPID} validate +quit
FROM ubuntu:22.04
RUN dpkg --add-architecture i386 && apt-get update && apt-get install -y lib32gcc-s1
COPY --from=game --chown=1000:1000 /server /server
USER 1000
WORKDIR /server
EXPOSE 27015/tcp 27015/udp 27020/udp
ENV MAP=de_dust2 PLAYERS=16
ENTRYPOINT ./srcds_run -game csgo +map $MAP -maxplayers_override $PLAYERS
