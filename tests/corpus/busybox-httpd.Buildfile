FROM busybox:1.36-musl
RUN adduser -D static
USER static
WORKDIR /home/static
COPY --chmod=444 <<index.html <<404.html ./
<!doctype html>
<title>Up</title>
index.html
<!doctype html>
<title>Not here</title>
404.html
EXPOSE 3000
CMD ["busybox", "httpd", "-f", "-v", "-p", "3000"]
