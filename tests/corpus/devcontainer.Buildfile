FROM devcontainers/base:bookworm
ARG VARIANT="3.12"
USER vscode
RUN sudo apt-get update \
    && sudo apt-get -y install --no-install-recommends postgresql-client
ENV PIPX_HOME=/home/vscode/.local/pipx
RUN --mount=type=cache,target=/home/vscode/.cache/pip,uid=1000,gid=1000 \
    pip3 --disable-pip-version-check install -r <(printf 'ruff\nmypy\n')
COPY --chown=vscode:vscode .zshrc .p10k.zsh* /home/vscode/
SHELL ["/bin/zsh", "-lc"]
RUN source ~/.zshrc && echo $ZSH
CMD ["sleep", "infinity"]
