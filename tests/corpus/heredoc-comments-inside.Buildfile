FROM alpine:3.19
RUN <<EOF
# this is a comment of the script, not of the file
apk add --no-cache jq

# an empty line above stays
echo done \
  continued by the shell
EOF
COPY <<EOF /etc/motd
# still text
FROM is no instruction here
RUN neither
EOF
LABEL after=heredoc
