FROM alpine AS root
RUN echo root > /root.txt
FROM root AS left
RUN echo left > /left.txt
FROM root AS right
RUN echo right > /right.txt
FROM scratch AS join
COPY --from=left /left.txt /
COPY --from=right /right.txt /
COPY --from=root /root.txt /
FROM left
COPY --from=join / /all/
RUN --mount=from=right,source=/right.txt,target=/r.txt cat /r.txt
