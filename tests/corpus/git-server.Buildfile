FROM alpine:3.19
RUN set -x \
 && apk add --no-cache git openssh-server \
 && ssh-keygen -A \
 && adduser -D -s /usr/bin/git-shell git \
 && mkdir -p /home/git/.ssh \
 && sed -i \
      -e 's/#PasswordAuthentication yes/PasswordAuthentication no/' \
      -e 's|^AuthorizedKeysFile.*|AuthorizedKeysFile /keys/%u|' \
      /etc/ssh/sshd_config
VOLUME ["/keys", "/srv/git"]
EXPOSE 22
CMD ["/usr/sbin/sshd", "-D", "-e"]
