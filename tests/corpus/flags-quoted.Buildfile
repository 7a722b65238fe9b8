FROM --platform="linux/amd64" busybox
ARG WHO=me
COPY "--chown=1:1" a /a
COPY --chown="2:2" a /b
COPY --chown='3':3 a /c
COPY --ch"own=4:4" a /d
COPY --chown=$WHO a /e
COPY --chown=${WHO:-"no body"} a /f
COPY --exclude="a b" --exclude='$c' . /g/
RUN --network='none' true
HEALTHCHECK --interval="10s" CMD true
RUN echo --mount=not-a-flag
COPY -- --strange-name /h
