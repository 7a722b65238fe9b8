FROM --platform=$BUILDPLATFORM debian:bookworm AS cross
ARG BUILDPLATFORM TARGETPLATFORM
RUN echo "building on $BUILDPLATFORM for $TARGETPLATFORM"
RUN dpkg --add-architecture arm64 \
 && apt-get update \
 && apt-get install -y crossbuild-essential-arm64 libssl-dev:arm64
ENV CROSS_COMPILE=aarch64-linux-gnu- \
    CC=${CROSS_COMPILE:-aarch64-linux-gnu-}gcc
WORKDIR /build
COPY Makefile *.c *.h ./
RUN make -j"$(nproc)" LDFLAGS=-static
FROM --platform=$TARGETPLATFORM scratch
COPY --from=cross /build/daemon /sbin/daemon
ENTRYPOINT ["/sbin/daemon"]
