FROM debian:wheezy
MAINTAINER Packager
ADD app-1.0.tar.gz /opt/
ADD http://files.example.com/agent/agent.deb /tmp/agent.deb
ADD http://files.example.com/certs/ca.pem /usr/local/share/ca-certificates/
ADD ["conf files/*.conf", "/etc/app/"]
RUN dpkg -i /tmp/agent.deb && rm /tmp/agent.deb
ENV APP_HOME /opt/app-1.0
WORKDIR $APP_HOME
CMD ["./bin/app"]
