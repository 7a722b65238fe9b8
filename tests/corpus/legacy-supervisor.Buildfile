FROM ubuntu:trusty
MAINTAINER Example Ops
RUN echo "deb http://archive.example.com/ubuntu trusty main universe" > /etc/apt/sources.list
RUN apt-get update; apt-get -y upgrade
RUN apt-get install -y supervisor openssh-server nginx
RUN mkdir -p /var/run/sshd /var/log/supervisor
RUN echo 'root:changeme' |chpasswd
ADD supervisord.conf /etc/supervisor/conf.d/supervisord.conf
EXPOSE 22 80
VOLUME ["/var/log", "/data"]
CMD ["/usr/bin/supervisord", "-n"]
