# escape=`
FROM windows/servercore:ltsc2019 AS base
SHELL ["cmd", "/S", "/C"]
RUN md C:\build && `
    echo on > C:\build\flag
WORKDIR C:\build\
COPY ["app config.json", "C:/build/"]
ENV QUOTED="a `"quoted`" word" PLAIN=C:\dir` with` spaces DOLLAR=`$HOME
LABEL path="C:\\two" tick=``x``
USER ContainerUser
CMD dir C:\
