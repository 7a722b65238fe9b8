FROM ubuntu:22.04
RUN apt-get update && \
    apt-get install -y software-properties-common && \
    add-apt-repository -y ppa:example/ppa && \
    apt-get update && \
    apt-get install -y \
        build-essential \
        cmake \
        curl \
        gdb \
        git \
        libboost-all-dev \
        libcurl4-openssl-dev \
        libssl-dev \
        pkg-config \
        python3 \
        python3-pip \
        valgrind \
        && \
    pip3 install conan==1.63 && \
    curl -fsSL https://get.example.com/install.sh | bash -s -- --yes && \
    update-alternatives --install /usr/bin/gcc gcc /usr/bin/gcc-12 60 \
                        --slave /usr/bin/g++ g++ /usr/bin/g++-12 && \
    apt-get autoremove -y && \
    rm -rf /var/lib/apt/lists/* /tmp/* /var/tmp/*
