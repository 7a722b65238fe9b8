# syntax=docker/dockerfile:1
FROM alpine:3.19 AS files
RUN mkdir /share && echo shared > /share/file
FROM alpine:3.19
ARG CACHE_ID=apk
WORKDIR /work
RUN --mount=target=/context ls /context
RUN --mount=type=bind,from=files,source=/share,dst=shared,readwrite=true touch shared/new
RUN --mount=type=cache,id=${CACHE_ID}-v3,target=/var/cache/apk,sharing=shared,mode=0700,uid=10,gid=20 apk add git
RUN --mount=type=cache,target=rel,from=files,src=share,ro cat rel/file
RUN --mount=type=tmpfs,target=/scratch,size=64m dd if=/dev/zero of=/scratch/x bs=1M count=8
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc,required=true,mode=0440 cat /root/.npmrc
RUN --mount=type=secret,id=TOKEN,env=API_TOKEN test -n "$API_TOKEN"
RUN --mount=type=ssh,id=deploy,required,uid=1000 ssh-add -l
RUN --mount=type=secret,id=plain \
    --mount=type=ssh \
    --network=none --security=sandbox \
    cat /run/secrets/plain
