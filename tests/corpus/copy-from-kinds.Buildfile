FROM alpine AS Builder
RUN touch /b
FROM alpine:3.18
RUN touch /second
FROM busybox
COPY --from=builder /b /b
COPY --from=BUILDER /b /b2
COPY --from=0 /b /b3
COPY --from=1 /second /
COPY --from=nginx:1.25 /etc/nginx/nginx.conf /etc/
COPY --from=example/tools:2@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 /t /t
COPY --from=scratchy /x /x
