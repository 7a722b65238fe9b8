FROM perl:5.38-slim-threaded
RUN apt-get update; apt-get install --yes make gcc libexpat1-dev
WORKDIR /opt/web
COPY cpanfile .
RUN cpanm --quiet --notest --installdeps . \
; rm -rf /root/.cpanm
COPY . .
ENV PERL5LIB lib:local/lib/perl5
EXPOSE 5000
CMD plackup -Ilib -p 5000 web.psgi
