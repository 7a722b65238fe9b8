FROM ruby:2.1
MAINTAINER Ada Example "ada@example.com"
RUN apt-get update
RUN apt-get install -y sqlite3 libsqlite3-dev
ADD Gemfile /app/Gemfile
ADD Gemfile.lock /app/Gemfile.lock
WORKDIR /app
RUN bundle install --jobs 4
ADD . /app
ENV RACK_ENV production
EXPOSE 4567
CMD bundle exec rackup -p 4567 -o 0.0.0.0
