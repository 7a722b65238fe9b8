FROM debian:12-slim
ARG http_proxy
ARG HTTPS_PROXY=http://proxy.example.com:3128
ARG no_proxy=localhost,127.0.0.1
RUN apt-get update
ENV LEAK=${HTTPS_PROXY}
RUN env | sort
ARG SOURCE_DATE_EPOCH=1700000000
RUN date -d @$SOURCE_DATE_EPOCH
