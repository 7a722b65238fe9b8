FROM golang:1.8-onbuild
MAINTAINER Gopher <gopher@example.com>
ENV GOPATH /go
ENV PATH $GOPATH/bin:$PATH
RUN go get github.com/tools/godep
ADD . /go/src/example.com/hook
RUN cd /go/src/example.com/hook && godep restore && go install ./...
EXPOSE 9000
ENTRYPOINT ["/go/bin/hook"]
CMD ["-verbose"]
