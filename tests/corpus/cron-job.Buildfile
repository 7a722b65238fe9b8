FROM alpine:3
RUN apk add --no-cache dcron tini
COPY --chmod=600 <<crontab /etc/crontabs/root
# min hour day month weekday command
*/5 * * * * /usr/local/bin/poll >> /proc/1/fd/1 2>&1
0   3 * * 0 /usr/local/bin/weekly
crontab
COPY --chmod=755 poll weekly /usr/local/bin/
ENTRYPOINT ["/sbin/tini", "--"]
CMD crond -f -l 8
