#   EsCaPe   =   `
# syntax = docker/dockerfile:1
# CHECK=skip=all
# unknown=ends the block
# escape=\
FROM windows/nanoserver
RUN dir `
 /w
ENV P=C:\x
LABEL tick=``
