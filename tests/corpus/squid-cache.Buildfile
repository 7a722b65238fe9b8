FROM alpine:3.12
RUN apk add --no-cache squid
COPY squid.conf /etc/squid/squid.conf
VOLUME ["/var/cache/squid"]
EXPOSE 3128/tcp
USER squid:squid
HEALTHCHECK --timeout=2s CMD squidclient -h localhost mgr:info | grep -q Squid
ENTRYPOINT ["squid"]
CMD ["-N", "-d", "1"]
