FROM alpine:3.19
ARG S6_OVERLAY_VERSION=3.1.6.2
ADD https://dl.example.com/s6/v${S6_OVERLAY_VERSION}/s6-overlay-noarch.tar.xz /tmp
RUN tar -C / -Jxpf /tmp/s6-overlay-noarch.tar.xz
ADD --chmod=644 https://dl.example.com/s6/v${S6_OVERLAY_VERSION}/s6-overlay-x86_64.tar.xz /tmp/
RUN tar -C / -Jxpf /tmp/s6-overlay-x86_64.tar.xz && rm /tmp/*.xz
COPY <<-EOF /etc/s6-overlay/s6-rc.d/web/run
	#!/command/execlineb -P
	exec httpd -f
	EOF
COPY <<EOF /etc/s6-overlay/s6-rc.d/web/type
longrun
EOF
ENTRYPOINT ["/init"]
