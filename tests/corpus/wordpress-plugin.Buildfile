FROM wordpress:6-php8.1
ENV WORDPRESS_DEBUG=1 WORDPRESS_TABLE_PREFIX=wp_
ADD --chown=www-data:www-data https://downloads.example.com/plugin/akin.5.3.zip /usr/src/wordpress/wp-content/plugins/
RUN apt-get update \
 && apt-get install -y --no-install-recommends unzip \
 && cd /usr/src/wordpress/wp-content/plugins \
 && unzip akin.5.3.zip \
 && rm akin.5.3.zip
COPY uploads.ini $PHP_INI_DIR/conf.d/
COPY themes /usr/src/wordpress/wp-content/themes
