FROM ruby:3.3
ONBUILD RUN <<EOF
bundle config set path vendor
bundle install
EOF
ONBUILD COPY <<settings.yml /app/
env: $RAILS_ENV
settings.yml
ENV RAILS_ENV=production
WORKDIR /app
CMD ["rails", "server"]
