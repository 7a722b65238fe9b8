ARG IMG=alpine PLAT=linux/amd64 STAGE=ignored
FROM --platform=${PLAT} ${IMG}:${TAG:-3.19} AS base
ARG PORT=8080 DIR=/data SIG=TERM U=app G=app OWNER=1:1 MODE=755
ENV ROOT=/srv
WORKDIR ${ROOT}/app
EXPOSE $PORT ${PORT}/udp 90${PORT#80}-9090
VOLUME $DIR [not json]
USER $U:${G:-users}
STOPSIGNAL SIG$SIG
COPY --chown=$OWNER --chmod=$MODE $ROOT/src* ./
LABEL org.example.$U=${DIR%/}
ADD ${ROOT#/}.tar $DIR/
HEALTHCHECK CMD test -d $DIR
RUN echo $PORT is for the shell
CMD ["$ROOT/run", "${PORT}"]
ENTRYPOINT echo $ROOT
