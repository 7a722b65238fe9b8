FROM --platform=$BUILDPLATFORM alpine:edge AS zig
ARG ZIG=0.11.0
ADD https://dl.example.com/zig/${ZIG}/zig-linux-x86_64-${ZIG}.tar.xz /tmp/zig.tar.xz
RUN mkdir /opt/zig && tar -xJf /tmp/zig.tar.xz -C /opt/zig --strip-components=1
FROM zig AS build
ARG TARGETARCH
ARG TARGET_amd64=x86_64-linux-musl
ARG TARGET_arm64=aarch64-linux-musl
COPY . /src
RUN eval "T=\$TARGET_$TARGETARCH"; cd /src && /opt/zig/zig build -Dtarget="$T" --prefix /out
FROM scratch
COPY --from=build /out/bin/* /
