ARG SOURCE_DATE_EPOCH=0
FROM debian:12-slim AS pkg
ARG SOURCE_DATE_EPOCH
WORKDIR /pkg
COPY debian debian
RUN dpkg-deb --build --root-owner-group debian app.deb
RUN find $(ls | grep -E -v "^(dev|mnt|proc|sys)$") -newermt "@$SOURCE_DATE_EPOCH" -writable -xdev \
    | xargs touch --date="@$SOURCE_DATE_EPOCH" --no-dereference
FROM scratch
COPY --from=pkg /pkg/app.deb /
