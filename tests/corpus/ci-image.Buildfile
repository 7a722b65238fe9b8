FROM docker:26-cli AS docker
FROM node:20-bookworm
ARG USERNAME=ci
ARG USER_UID=1000 USER_GID=$USER_UID
COPY --from=docker /usr/local/bin/docker /usr/local/bin/
COPY --from=docker /usr/local/libexec/docker/cli-plugins/ /usr/local/libexec/docker/cli-plugins/
RUN groupmod --new-name $USERNAME node \
    && usermod --login $USERNAME --move-home --home /home/$USERNAME node \
    && apt-get update && apt-get install -y jq shellcheck
ENV CI=true \
    NPM_CONFIG_PREFIX=/home/${USERNAME}/.npm-global
ENV PATH=$NPM_CONFIG_PREFIX/bin:$PATH
USER ${USERNAME}
WORKDIR /home/${USERNAME}/work
