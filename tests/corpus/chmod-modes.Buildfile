FROM busybox
COPY --chmod=7 a /a
COPY --chmod=04755 a /b
COPY --chmod=1777 dir/ /tmp/
COPY --chmod=+x a /c
COPY --chmod=u+rwx,g-w,o= a /d
COPY --chmod=a=rX dir /e/
COPY --chmod=go-rwx,u+X dir /f/
COPY --chmod=g=u,o=g a /g
ADD --chmod=u+s,+t a /h
COPY --chmod=0 <<EOF /i
nobody reads this
EOF
