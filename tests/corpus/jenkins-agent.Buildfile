FROM jenkins/agent:alpine-jdk17
USER root
ARG DOCKER_GID=999
RUN apk add --no-cache docker-cli bash make && addgroup -g ${DOCKER_GID} docker ; \
    addgroup jenkins docker
ENV JENKINS_AGENT_WORKDIR=${AGENT_WORKDIR:-/home/jenkins/agent}
VOLUME ${JENKINS_AGENT_WORKDIR}
USER jenkins
WORKDIR $JENKINS_AGENT_WORKDIR
ENTRYPOINT ["/usr/local/bin/jenkins-agent"]
