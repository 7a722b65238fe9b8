from alpine as First.Stage_1
run true
FROM first.stage_1 As second-stage
RUN true
FROM busybox AS second-stage
RUN later one wins
FROM SECOND-STAGE aS third
COPY --from=First.Stage_1 /etc/alpine-release /
FROM third
ENV LAST=yes
CMD ["sh"]
