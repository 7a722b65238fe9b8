FROM debian:11
RUN echo "postfix postfix/mailname string mail.example.com" | debconf-set-selections \
 && echo "postfix postfix/main_mailer_type string 'Internet Site'" | debconf-set-selections \
 && apt-get update && apt-get install -y postfix opendkim
RUN postconf -e 'smtpd_banner=$myhostname ESMTP' \
 && postconf -e "mynetworks=10.0.0.0/8"
COPY main.cf master.cf /etc/postfix/
VOLUME /var/spool/postfix
EXPOSE 25 587
CMD ["postfix", "start-fg"]
