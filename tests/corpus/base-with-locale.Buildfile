FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y locales && rm -rf /var/lib/apt/lists/* \
  && localedef -i cs_CZ -c -f UTF-8 -A /usr/share/locale/locale.alias cs_CZ.UTF-8
ENV LANG cs_CZ.utf8
ENV GRÜßE=schön
LABEL popis="Základní obraz s češtinou" 作者=佐藤
RUN echo 'Příliš žluťoučký kůň' > /etc/motd
COPY soubor-š.txt /ž/
CMD ["echo", "úpěl ďábelské ódy"]
