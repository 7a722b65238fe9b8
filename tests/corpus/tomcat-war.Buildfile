FROM tomcat:9.0-jdk11
MAINTAINER ops@example.com
RUN rm -rf $CATALINA_HOME/webapps/ROOT
ADD target/portal.war $CATALINA_HOME/webapps/ROOT.war
ADD conf/server.xml conf/context.xml $CATALINA_HOME/conf/
ENV CATALINA_OPTS="-Xms256m -Xmx1g" \
    JPDA_ADDRESS=*:8000
EXPOSE 8080 8000
VOLUME $CATALINA_HOME/logs
CMD ["catalina.sh", "jpda", "run"]
