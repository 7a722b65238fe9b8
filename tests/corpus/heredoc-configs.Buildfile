FROM debian:bookworm-slim
ARG DOMAIN=example.com
ENV PORT=8443
COPY <<nginx.conf <<'mime.types' /etc/nginx/
events { worker_connections 1024; }
http {
  include mime.types;
  server {
    listen ${PORT:-443} ssl;
    server_name ${DOMAIN} www.${DOMAIN};
    add_header X-Literal "\$host";
  }
}
nginx.conf
types {
  text/html html htm;   # $not expanded
}
mime.types
ADD --chown=1000:1000 --chmod=600 <<-KEY /etc/nginx/tls/dummy.key
	-----BEGIN NOTHING-----
		$PORT
	-----END NOTHING-----
KEY
RUN nginx -t
