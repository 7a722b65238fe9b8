FROM python:3.10
LABEL maintainer="Web Team <web@example.com>"
ENV DJANGO_SETTINGS_MODULE=site.settings.production
ENV STATIC_ROOT /var/www/static
RUN apt-get update && apt-get install -y \
        gettext \
        libpq-dev \
        # needed by Pillow
        libjpeg62-turbo-dev \
        zlib1g-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /usr/src/site
COPY requirements/ requirements/
RUN pip install -r requirements/production.txt
COPY . .
RUN SECRET_KEY=x python manage.py collectstatic --noinput
VOLUME ["/var/www/media"]
EXPOSE 8000
ENTRYPOINT ["./entrypoint.sh"]
CMD ["uvicorn", "site.asgi:application", "--host", "0.0.0.0"]
