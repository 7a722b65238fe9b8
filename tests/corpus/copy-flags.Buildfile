# syntax=docker/dockerfile:1.7-labs
FROM alpine AS other
RUN touch /etc/marker
FROM alpine
ARG OWNER=nobody
WORKDIR /app
COPY --chown=$OWNER:nogroup a.txt b.txt ./
COPY --chown=1000 c.txt ./c/
COPY --chown=:27 d.txt d
COPY --chmod=0644 e.txt /e
COPY --chmod=u=rwX,g=rX,o-rwx dir/ /dir/
COPY --chmod=a+x,go-w bin/* /usr/local/bin/
COPY --link=true f /f/
COPY --link=false --parents=true x/y/z.txt ./
COPY --from=other --link /etc/marker /etc/
COPY --exclude=*.tmp --exclude=!keep.tmp --exclude=**/node_modules . ./all/
COPY --parents ./lib/./a/b.js ./lib/./c/ /usr/lib/
