FROM busybox
ARG NAME="with,comma"
RUN "--mount=type=bind,target=/a" true
RUN --mount='type=tmpfs,"target=/with,comma"' true
RUN --mount=type=secret,\"id=a\",target=/run/b true
RUN --mount=TYPE=Cache,Target=/C,Sharing=LOCKED true
RUN --mount=type=cache,destination=/x,readonly=false,id=$NAME true
RUN --mount=type=tmpfs,target=/t,size=1.5GiB --mount=type=tmpfs,target=/u,size=4096 true
RUN --mount=type=bind,target=/v,rw=false,source=sub/../dir/. true
CMD ["true"]
