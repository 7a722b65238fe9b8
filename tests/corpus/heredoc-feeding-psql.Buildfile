FROM postgres:16 AS seed
ENV POSTGRES_PASSWORD=example PGDATA=/pgdata
RUN --mount=type=bind,source=dump.sql,target=/dump.sql <<EOF
set -e
docker-entrypoint.sh postgres &
until pg_isready; do sleep 1; done
psql -U postgres <<SQL
CREATE TABLE people (name text);
\i /dump.sql
SQL
kill %1; wait
EOF
FROM postgres:16
COPY --from=seed /pgdata /var/lib/postgresql/data
