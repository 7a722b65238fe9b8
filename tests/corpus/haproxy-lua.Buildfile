FROM haproxy:2.8-alpine
USER root
RUN apk add --no-cache lua5.3 && \
    mkdir -p /var/lib/haproxy/lua
COPY <<'LUA' /var/lib/haproxy/lua/hello.lua
core.register_service("hello", "http", function(applet)
    applet:set_status(200)
    applet:start_response()
    applet:send("hello\n")
end)
LUA
USER haproxy
EXPOSE 80/tcp 8404/tcp
CMD ["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg", "-db"]
