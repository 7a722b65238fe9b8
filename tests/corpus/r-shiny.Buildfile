FROM rocker/shiny-verse:4.3.3
RUN apt-get update -qq && apt-get -y --no-install-recommends install \
    libgdal-dev libproj-dev \
  && R -e "install.packages(c('leaflet', 'sf'), repos = 'https://cran.example.org')"
RUN ["R", "-e", "stopifnot(requireNamespace('sf'))"]
COPY --chown=shiny:shiny app /srv/shiny-server/
EXPOSE 3838
USER shiny
CMD ["/usr/bin/shiny-server"]
