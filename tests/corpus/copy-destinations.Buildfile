FROM busybox
COPY a /
COPY a b/
COPY a ./c
COPY a ..
WORKDIR /w/x
COPY a d
COPY a ../e
COPY a /abs/../f/
COPY a .
COPY a b c dir/
COPY ["with space", "/target dir/"]
COPY "quoted"name 'single'/quoted
ENV EMPTY=
COPY a $EMPTY
COPY a ${DEST:-/default/}
COPY a /trailing/slash/
