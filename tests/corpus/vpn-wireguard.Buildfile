FROM alpine:3.19 AS build
RUN apk add --no-cache go git make
ADD https://git.example.com/wireguard-go.git#0.0.20230223 /wg
RUN make -C /wg
FROM alpine:3.19
RUN apk add --no-cache wireguard-tools iptables ip6tables openresolv
COPY --from=build /wg/wireguard-go /usr/bin/
ENV WG_SUDO=1 WG_QUICK_USERSPACE_IMPLEMENTATION=/usr/bin/wireguard-go
VOLUME /etc/wireguard
EXPOSE 51820/udp
STOPSIGNAL 2
CMD wg-quick up wg0 && exec sleep infinity
