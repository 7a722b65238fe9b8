FROM alpine:3.19
ARG REPO=https://git.example.com/lib/zlib.git
ARG TAG=v1.3.1
WORKDIR /src
ADD ${REPO}#${TAG} zlib/
ADD --keep-git-dir=true https://git.example.com/app.git#main:src/lib lib
ADD git@git.example.com:tools/build.git#0123456789abcdef0123456789abcdef01234567 /tools
ADD --checksum=sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 https://files.example.com/empty /e
ADD --chmod=755 --chown=1:2 https://files.example.com/install.sh https://files.example.com/other.sh /usr/local/bin/
ADD https://files.example.com/a%20b.txt?token=1 ./
ADD --unpack https://files.example.com/x.tar.gz /x/
ADD --link local.tar /unpacked/
RUN ls -R /src
