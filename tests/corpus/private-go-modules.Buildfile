# syntax=docker/dockerfile:1
FROM golang:1.22-alpine AS modules
RUN apk add --no-cache git openssh-client
RUN mkdir -p -m 0700 ~/.ssh && ssh-keyscan git.example.com >> ~/.ssh/known_hosts
RUN git config --global url."git@git.example.com:".insteadOf "https://git.example.com/"
ENV GOPRIVATE=git.example.com/*
COPY go.* ./
RUN --mount=type=ssh go mod download
FROM modules AS build
COPY . .
RUN --mount=type=secret,id=license,dst=/src/license.key,uid=0,gid=0,mode=0400 go build -o /bin/svc .
FROM alpine
COPY --from=build /bin/svc /bin/svc
ENTRYPOINT ["/bin/svc"]
