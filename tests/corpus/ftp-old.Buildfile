FROM ubuntu:12.04
MAINTAINER somebody
RUN locale-gen en_US.UTF-8
ENV LANG en_US.UTF-8
RUN apt-get -y install vsftpd
RUN mkdir -p /var/run/vsftpd/empty && echo "local_enable=YES" \
 >> /etc/vsftpd.conf
EXPOSE 20 21 21100:21100
CMD ["/usr/sbin/vsftpd"]
