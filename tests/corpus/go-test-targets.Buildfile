ARG GO=1.22
FROM golang:${GO} AS base
WORKDIR /w
COPY . .
FROM base AS unit
RUN go test ./... -coverprofile=/cover.out
FROM base AS lint
COPY --from=golangci/golangci-lint:v1.57 /usr/bin/golangci-lint /usr/bin/
RUN golangci-lint run --timeout 5m
FROM scratch AS report
COPY --from=unit /cover.out /
FROM base AS bin
RUN go build -o /server .
FROM alpine AS final
COPY --from=bin /server /server
ENTRYPOINT [ "/server" ]
