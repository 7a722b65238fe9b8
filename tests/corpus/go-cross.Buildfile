# syntax=docker/dockerfile:1
FROM --platform=$BUILDPLATFORM golang:1.22-alpine AS build
ARG TARGETOS
ARG TARGETARCH TARGETVARIANT
WORKDIR /src
RUN --mount=target=. \
    --mount=type=cache,target=/root/.cache/go-build \
    --mount=type=cache,target=/go/pkg/mod,id=gomod-$TARGETARCH \
    GOOS=$TARGETOS GOARCH=$TARGETARCH GOARM=${TARGETVARIANT#v} \
    go build -o /out/agent ./cmd/agent

FROM scratch AS binary
COPY --from=build /out/agent /agent

FROM alpine:3.19 AS image
RUN apk add --no-cache ca-certificates
COPY --from=binary /agent /usr/bin/
CMD ["agent", "--config", "/etc/agent.yml"]
