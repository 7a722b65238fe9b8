FROM httpd:2.4
RUN sed -i \
        -e 's/^#\(Include .*httpd-ssl.conf\)/\1/' \
        -e 's/^#\(LoadModule .*mod_ssl.so\)/\1/' \
        -e 's|^\(User\) .*$|\1 www|' \
        conf/httpd.conf
ENV RE='^[a-z]+\$$' COST=\$5 PCT=100%
LABEL regex="^(\\d+)\\.(\\d+)$" price='$5'
RUN test "$COST" = '$5' && echo "$RE" | grep -q '\$'
WORKDIR /usr/local/apache2/htdocs/$nothing
