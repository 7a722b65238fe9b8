FROM alpine
RUN --network=none ip addr
RUN --security=insecure mount -t tmpfs none /mnt
RUN --security=sandbox --network=default id
RUN --network="none" --mount=type=cache,target=/c ["sh", "-c", "touch /c/x"]
RUN -- --not-a-flag || true
RUN --network=none -- echo after the dashes
USER 1000:1000
CMD ["id"]
