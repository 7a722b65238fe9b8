FROM hugomods/hugo:0.124.1 AS site
ARG HUGO_BASEURL=/
ENV HUGO_BASEURL=${HUGO_BASEURL} HUGO_ENVIRONMENT=production
COPY . /src
RUN hugo --minify --gc --destination /public
FROM busybox AS compress
COPY --from=site /public /www
RUN find /www -type f \( -name '*.html' -o -name '*.css' \) -exec gzip -k9 {} \;
FROM joseluisq/static-web-server:2
COPY --from=compress /www /public
