FROM busybox
LABEL one=1
LABEL two=2
ENV THREE=3
RUN echo no newline \
  at the end
USER 1000
WORKDIR /last
ENTRYPOINT ["/bin/sh", "-c", "true"]