FROM archlinux:base-devel
RUN pacman -Syu --noconfirm git && \
    useradd --create-home --groups wheel build && \
    echo 'build ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/build
USER build
WORKDIR /home/build
RUN git clone https://git.example.org/yay-bin.git
WORKDIR yay-bin
RUN makepkg -si --noconfirm
WORKDIR ..
RUN rm -rf yay-bin
USER root
ENTRYPOINT ["/usr/bin/yay"]
