FROM alpine
ARG CREATED REVISION=unknown
LABEL org.opencontainers.image.title="Widget service" \
      org.opencontainers.image.description="Serves widgets, \
and gadgets" \
      org.opencontainers.image.created=$CREATED \
      org.opencontainers.image.revision=${REVISION} \
      org.opencontainers.image.licenses='Apache-2.0 OR MIT'
LABEL org.opencontainers.image.title=Replaced
LABEL "com.example.vendor"="ACME \"Inc\"" com.example.empty=""
LABEL a=b a=c
