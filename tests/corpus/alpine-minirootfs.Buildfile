FROM alpine:3.19 AS unpacker
ARG TARGETARCH
ADD --unpack=true https://dl.example.org/alpine-minirootfs-3.19.1-x86_64.tar.gz /rootfs/
RUN rm -rf /rootfs/var/cache/apk/* \
 && adduser -D -h /home/user -R /rootfs user
FROM scratch
COPY --from=unpacker --parents /rootfs/./bin /rootfs/./etc /rootfs/./lib /rootfs/./usr /
COPY --from=unpacker /rootfs/sbin /sbin/
ENV PS1='\u:\w\$ '
CMD /bin/sh
