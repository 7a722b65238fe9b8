FROM ubuntu:20.04
# comment with windows endings
RUN apt-get update && \
    apt-get install -y \
      nano \

      vim
ENV A=1 \
    B=2
COPY <<EOF /etc/dos.txt
line one
line two
EOF
LABEL multi.line="a \
b"
CMD ["bash"]
