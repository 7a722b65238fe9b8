FROM fedora:39 AS kbuild
ARG KVER
ENV KVER="${KVER:?the kernel version is needed, e.g. 6.7.9}"
RUN dnf -y install kernel-devel-"$KVER" gcc make elfutils-libelf-devel
COPY src/ /usr/src/wgx/
RUN make -C /usr/src/kernels/"$KVER" M=/usr/src/wgx modules
FROM scratch
COPY --from=kbuild /usr/src/wgx/wgx.ko /lib/modules/
