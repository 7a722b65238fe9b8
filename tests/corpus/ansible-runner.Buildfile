FROM python:3.12-alpine
ARG ANSIBLE=9.4.0
RUN apk add --no-cache --virtual .build gcc musl-dev libffi-dev \
 && apk add --no-cache openssh-client sshpass rsync \
 && pip install --no-cache-dir ansible==${ANSIBLE} ansible-lint~=24.2 \
 && apk del .build
ENV ANSIBLE_HOST_KEY_CHECKING=False ANSIBLE_FORCE_COLOR=1
WORKDIR /playbooks
VOLUME /playbooks
ENTRYPOINT ["ansible-playbook"]
CMD ["--version"]
