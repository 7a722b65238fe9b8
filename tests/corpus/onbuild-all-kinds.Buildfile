FROM golang:1.22
ONBUILD ADD . /src
ONBUILD ARG TAGS=netgo
ONBUILD CMD ["/bin/app"]
ONBUILD ENTRYPOINT ["/entry"]
ONBUILD EXPOSE 80/udp
ONBUILD SHELL ["/bin/bash", "-c"]
ONBUILD STOPSIGNAL 9
ONBUILD VOLUME /data
ONBUILD RUN --mount=type=cache,target=/root/.cache \
    go build -tags "$TAGS" -o /bin/app \
    # a comment
    ./...
