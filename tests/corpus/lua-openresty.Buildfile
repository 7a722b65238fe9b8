FROM openresty/openresty:1.25-alpine-fat
RUN luarocks install lua-resty-jwt 0.2.3 && \
    luarocks install lua-resty-http
COPY conf/nginx.conf "$RESTY/nginx.conf"
COPY lua/ /usr/local/openresty/site/lualib/app/
ENV RESTY=/etc/resty
COPY conf/nginx.conf "${RESTY}/nginx.conf"
EXPOSE 8080
ENTRYPOINT ["/usr/local/openresty/bin/openresty", "-g", "daemon off;"]
