FROM fedora:latest
ENV container=oci
RUN dnf -y update && dnf -y install systemd httpd && dnf clean all && \
    (cd /lib/systemd/system/sysinit.target.wants/; for i in *; do \
      [ $i == systemd-tmpfiles-setup.service ] || rm -f $i; done); \
    rm -f /etc/systemd/system/*.wants/*; \
    systemctl enable httpd
VOLUME [ "/sys/fs/cgroup", "/run" ]
STOPSIGNAL SIGRTMIN+3
EXPOSE 80
CMD [ "/usr/sbin/init" ]
