FROM alpine:3.19 AS fetch
ARG TERRAFORM=1.7.5
ARG TARGETARCH
WORKDIR /dl
ADD https://releases.example.com/terraform/${TERRAFORM}/terraform_${TERRAFORM}_linux_${TARGETARCH}.zip tf.zip
RUN unzip tf.zip && rm tf.zip
FROM alpine:3.19
RUN --mount=type=bind,from=fetch,source=/dl,target=/dl install -m 755 /dl/terraform /usr/bin/terraform
RUN adduser -D -u 1001 tf
USER tf
WORKDIR /home/tf
ENTRYPOINT ["terraform"]
