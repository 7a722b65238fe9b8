FROM debian:12
USER www-data
WORKDIR /var/www
USER 1000:100
WORKDIR relative/path/
USER root
WORKDIR /
WORKDIR ./a/../b/./c//
RUN pwd
USER nobody:nogroup
WORKDIR "quoted dir"
USER 0
WORKDIR /trailing/
VOLUME /trailing
