FROM tutum/lamp-like:latest
MAINTAINER First Last
RUN rm -fr /app && mkdir -p /app
ADD . /app
ADD my.cnf /etc/mysql/conf.d/my.cnf
RUN chmod 755 /*.sh
env MYSQL_PASS **Random**
VOLUME  ["/etc/mysql", "/var/lib/mysql" ]
EXPOSE 3306
CMD exec mysqld_safe --user=mysql
