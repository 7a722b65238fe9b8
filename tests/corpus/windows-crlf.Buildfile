# escape=`
# syntax=docker/dockerfile:1

FROM windows/nanoserver:ltsc2022
ENV chocolateyUseWindowsCompression false
RUN setx /M PATH "%PATH%;C:\tools" `
 && mkdir C:\tools `
# a note in the middle
 && echo done
COPY tool.exe C:\tools\
CMD [ "cmd", "/S", "/C", "tool.exe" ]
