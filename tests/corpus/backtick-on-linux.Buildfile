# escape=`
FROM alpine
RUN printf '%s\n' "a\\b" > /x && `
    cat /x
ENV P=/usr/bin:$PATH `
    Q=`$P
RUN echo \
WORKDIR /a\b
COPY [ "c:\\file", "./dir with space/" ]
CMD echo `$Q
