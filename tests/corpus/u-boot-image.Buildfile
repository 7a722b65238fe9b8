FROM alpine:3.18 AS tools
RUN apk add --no-cache bison flex make gcc-arm-none-eabi openssl-dev dtc python3-dev swig
FROM tools AS uboot
ARG BOARD=rpi_4
ARG V=2024.01
ADD --checksum=sha256:b99611f1ed237bf3541bdc8434b68c96a6e05967061f992443cb30aabebef5b3 \
    https://ftp.example.org/u-boot/u-boot-${V}.tar.bz2 /tmp/
WORKDIR /tmp
RUN tar xf u-boot-${V}.tar.bz2 && make -C u-boot-${V} ${BOARD}_defconfig all
FROM scratch AS out
ARG V=2024.01
COPY --from=uboot /tmp/u-boot-${V}/u-boot.bin /boot/
