FROM opensuse/leap:15.5
RUN zypper --non-interactive refresh \
 && zypper --non-interactive install --no-recommends \
      rpm-build osc \
      gcc13 gcc13-c++ \
 && zypper clean -a
ENV CC=gcc-13 CXX=g++-13
RUN useradd -m -u 399 abuild
USER 399
VOLUME /var/tmp/build-root
WORKDIR /home/abuild
