FROM composer:2.7 AS vendor
WORKDIR /app
COPY database/ database/
COPY composer.json composer.lock ./
RUN composer install --ignore-platform-reqs --no-interaction --no-plugins --no-scripts

FROM node:18 AS frontend
WORKDIR /app
COPY package*.json vite.config.js ./
COPY resources/ resources/
RUN npm install && npm run build

FROM php:8.3-fpm-alpine
ARG UID=1000
ARG GID=${UID}
RUN addgroup -g $GID app && adduser -D -u $UID -G app app
WORKDIR /var/www
COPY --chown=$UID:$GID . .
COPY --chown=$UID:$GID --from=vendor /app/vendor/ vendor/
COPY --chown=$UID:$GID --from=1 /app/public/build public/build
USER app
CMD ["php-fpm"]
