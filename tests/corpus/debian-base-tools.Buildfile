FROM debian:12
LABEL description="Tools for looking at networks" \
      version="1.4" vendor='Example Corp'
ENV DEBIAN_FRONTEND=noninteractive
RUN set -eux; \
    apt-get update; \
    apt-get install -y --no-install-recommends \
        iproute2 \
        tcpdump \
        mtr-tiny \
        dnsutils \
    ; \
    rm -rf /var/lib/apt/lists/*
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
RUN dpkg -l | awk '/^ii/ {print $2}' > /etc/installed
CMD ["/bin/bash"]
