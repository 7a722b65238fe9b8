FROM mirror/prometheus/busybox AS files
FROM scratch
COPY --from=files /etc/ssl /etc/ssl
COPY --from=files /etc/passwd /etc/group /etc/
COPY node_exporter /bin/
USER nobody
EXPOSE 9100
LABEL org.example.scrape=true org.example.port=9100 \
      org.example.path=/metrics
ENTRYPOINT [ "/bin/node_exporter", "--path.rootfs=/host" ]
