FROM debian:jessie
MAINTAINER "Monitoring" <mon@example.com>
ENV NAGIOS_HOME            /opt/nagios
ENV NAGIOS_USER            nagios
ENV NAGIOS_TIMEZONE        UTC
RUN	sed -i 's/universe/universe multiverse/' /etc/apt/sources.list	;\
	echo postfix postfix/main_mailer_type string "'Internet Site'" | debconf-set-selections	;\
	apt-get update && apt-get install -y				\
		iputils-ping						\
		netcat							\
		snmp							;\
	apt-get clean
RUN	( egrep -i "^${NAGIOS_USER}" /etc/group || groupadd $NAGIOS_USER ) ;\
	( id -u $NAGIOS_USER || useradd --system $NAGIOS_USER -g $NAGIOS_USER -d $NAGIOS_HOME )
ADD nagios/nagios.cfg /opt/nagios/etc/nagios.cfg
VOLUME "/opt/nagios/var" "/opt/nagios/etc"
EXPOSE 80
CMD [ "/usr/local/bin/start_nagios" ]
