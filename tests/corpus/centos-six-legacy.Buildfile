# CentOS 6 with the things we need
FROM centos:6
MAINTAINER Sys Admin
ADD epel.repo /etc/yum.repos.d/
RUN yum -y update; yum clean all
RUN yum -y install httpd mod_ssl; yum clean all
ADD httpd.conf /etc/httpd/conf/httpd.conf
ENV HTTPD_ROOT /etc/httpd
ENV HTTPD_OPTS -DFOREGROUND -e info
EXPOSE 80 443
CMD /usr/sbin/httpd $HTTPD_OPTS
