FROM ubuntu:noble
RUN rm -f /etc/apt/apt.conf.d/docker-clean; echo 'Binary::apt::APT::Keep-Downloaded-Packages "true";' > /etc/apt/apt.conf.d/keep-cache
RUN --mount=type=cache,target=/var/cache/apt,sharing=locked \
  --mount=type=cache,target=/var/lib/apt,sharing=locked \
  apt update && apt-get --no-install-recommends install -y gcc
RUN --mount=type=tmpfs,target=/tmp --mount=type=tmpfs,target=/var/tmp \
  cd /tmp && echo 'int main(){return 0;}' > t.c && gcc -o /usr/bin/ok t.c
RUN --network=host true
RUN --network=default --mount=type=bind,target=src ls src
CMD ["/usr/bin/ok"]
