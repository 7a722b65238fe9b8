FROM busybox AS one
RUN echo same > /f
WORKDIR /w
FROM busybox AS two
RUN echo same > /f
WORKDIR /w
FROM scratch
COPY --from=one /f /1
COPY --from=two /f /2
