FROM redis:7-alpine AS conf
RUN printf 'port %s\ncluster-enabled yes\n' 7000 7001 > /tmp/all
RUN split -l 2 /tmp/all /tmp/redis-
FROM redis:7-alpine
COPY --from=conf /tmp/redis-* /etc/redis/
ENV REDIS_ARGS --save 60 1 --loglevel warning
EXPOSE 7000-7005 17000-17005
ONBUILD COPY users.acl /etc/redis/users.acl
STOPSIGNAL SIGTERM
CMD redis-server /etc/redis/redis-aa $REDIS_ARGS
