FROM ubuntu:14.04
MAINTAINER  John Q. Public <jqp@example.com>  
ENV HOME /root
ENV GREETING hello   world  and  more
ENV QUOTED "kept quotes" and 'these too'
ENV WITH_EQUALS a=b
ENV ESC one\ two
LABEL description This is one long label value
LABEL com.example.note   "quoted"
ENV MULTI line one \
    line two
ENV PATH $HOME/bin:$PATH
ENTRYPOINT sh -c "$GREETING"
