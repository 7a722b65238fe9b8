FROM ubuntu:24.04
RUN echo default shell
SHELL ["/bin/bash", "-euxo", "pipefail", "-c"]
RUN for i in {1..3}; do echo $i; done | tail -1
SHELL [ "/usr/bin/python3" , "-c" ]
RUN print("hello from python")
CMD import time; time.sleep(3)
SHELL ["/bin/sh", "-c"]
RUN ["/bin/echo", "exec form ignores SHELL"]
HEALTHCHECK CMD test -f /ok
ENTRYPOINT exec top -b
