FROM busybox:1.36
RUN <<EOF
EOF
COPY <<empty /empty
empty
COPY <<EOF /numbers
1
 2
  3
	4

6
EOF EOF
 EOF
EOF
RUN wc -l /numbers
