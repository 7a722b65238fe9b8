FROM busybox AS users
RUN adduser -D -u 10001 app && grep app /etc/passwd > /passwd
FROM alpine AS certs
RUN apk add --no-cache ca-certificates tzdata
FROM scratch
COPY --from=users /passwd /etc/passwd
COPY --from=certs /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=certs /usr/share/zoneinfo /usr/share/zoneinfo
COPY --chown=app app /app
USER app
ENV TZ=UTC
ENTRYPOINT ["/app"]
