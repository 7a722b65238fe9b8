FROM debian:bookworm AS tex
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
       latexmk texlive-latex-extra texlive-fonts-recommended biber
WORKDIR /paper
COPY *.tex *.bib figures ./
RUN latexmk -pdf -interaction=nonstopmode -halt-on-error main.tex
FROM scratch
COPY --from=tex /paper/main.pdf /
