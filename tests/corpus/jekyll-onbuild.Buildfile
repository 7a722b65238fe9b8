FROM ruby:3.3-alpine
RUN apk add --no-cache build-base && gem install jekyll bundler
WORKDIR /site
ONBUILD COPY Gemfile* /site/
ONBUILD RUN bundle install
ONBUILD COPY . /site
ONBUILD RUN ["jekyll", "build", "--destination", "/var/www"]
ONBUILD EXPOSE 4000
VOLUME /var/www
ENTRYPOINT ["jekyll"]
CMD ["serve", "--host=0.0.0.0"]
