# syntax=docker/dockerfile:1
# check=skip=JSONArgsRecommended;error=false
# escape=\
FROM debian:stable-slim
RUN true
WORKDIR /bom
COPY . .
CMD echo a byte order mark stands first
