From alpine:3.19 As Base
ArG version=1
eNv PATH=/opt/bin:$PATH
Run echo "$version"
cOpY --chown=1:1 a b
aDD c.tar /d
WorkDir /x
eXpose 80/TCP
Cmd ["a"]
LaBeL Key=Value key=value
StopSignal sigterm
Healthcheck none
OnBuild run true
maintainer Somebody
