FROM --platform=${BUILDPLATFORM} rust:alpine AS build
ARG TARGETARCH
RUN <<'EOT' sh -eux
case "$TARGETARCH" in
  amd64) echo x86_64-unknown-linux-musl > /target ;;
  arm64) echo aarch64-unknown-linux-musl > /target ;;
  *) echo "no target for $TARGETARCH" >&2; exit 1 ;;
esac
rustup target add "$(cat /target)"
EOT
WORKDIR /src
RUN --mount=type=bind,target=/src,rw \
    --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=private \
    cargo build --release --target "$(cat /target)" && \
    cp "target/$(cat /target)/release/grepper" /grepper
FROM scratch
COPY --from=build /grepper /
ENTRYPOINT ["/grepper"]
