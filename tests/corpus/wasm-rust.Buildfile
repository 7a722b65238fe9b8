FROM --platform=$BUILDPLATFORM rust:1.77 AS wasm
RUN rustup target add wasm32-wasi
COPY . /src
WORKDIR /src
RUN cargo build --release --target wasm32-wasi
RUN cp target/wasm32-wasi/release/*.wasm /app.wasm
FROM scratch
COPY --link --from=wasm /app.wasm /app.wasm
ENTRYPOINT [ "/app.wasm" ]
