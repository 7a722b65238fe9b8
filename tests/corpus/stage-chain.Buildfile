FROM debian:12 AS a
ENV STEP=a
FROM a AS b
RUN echo $STEP > /b
ENV STEP=b
USER 2
FROM b AS c
WORKDIR /c
CMD ["from c"]
FROM c AS d
ENTRYPOINT ["clears the inherited command"]
FROM d AS e
SHELL ["/bin/bash", "-c"]
FROM e
RUN whoami && echo $STEP
CMD shell form of e
