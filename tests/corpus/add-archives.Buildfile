FROM debian:12-slim
ADD rootfs.tar /
ADD --unpack=false keep.tar.gz /archives/
ADD --unpack=true data.tar.xz /data/
ADD one.tgz two.tar.bz2 notes.txt /mixed/
ADD --chown=www-data --chmod=u=rwX,go=rX site.tar.zst /var/www/
ADD --exclude=*.o --exclude=.git src /usr/src/
ADD ["file with spaces.tar", "/opt/spaces/"]
ADD dir* /dirs/
WORKDIR /data
