FROM postgres:16-alpine
ENV POSTGRES_DB=app \
    POSTGRES_INITDB_ARGS="--data-checksums --encoding=UTF8"
COPY --chown=postgres:postgres init/*.sql init/*.sh /docker-entrypoint-initdb.d/
COPY postgresql.conf /etc/postgresql/
VOLUME /var/lib/postgresql/data
VOLUME ["/wal", "/backups"]
RUN mkdir -p /wal && chown postgres /wal
STOPSIGNAL SIGINT
HEALTHCHECK --interval=10s CMD pg_isready -U postgres -d $POSTGRES_DB
CMD ["postgres", "-c", "config_file=/etc/postgresql/postgresql.conf"]
