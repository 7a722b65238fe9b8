FROM php:8.2-apache
RUN apt-get update && apt-get install -y libzip-dev unzip \
 && docker-php-ext-install pdo_mysql zip opcache \
 && a2enmod rewrite
ENV APACHE_DOCUMENT_ROOT=/var/www/html/public
RUN sed -ri -e 's!/var/www/html!${APACHE_DOCUMENT_ROOT}!g' /etc/apache2/sites-available/*.conf
RUN sed -ri -e 's!/var/www/!${APACHE_DOCUMENT_ROOT}!g' /etc/apache2/apache2.conf
COPY --from=composer:2 /usr/bin/composer /usr/local/bin/composer
COPY composer.* ./
RUN composer install --no-dev --no-scripts --prefer-dist
COPY --chown=www-data:www-data . /var/www/html
