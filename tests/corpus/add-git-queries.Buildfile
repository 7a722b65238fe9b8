FROM busybox
ADD https://git.example.com/a.git?branch=main&subdir=docs /docs
ADD https://git.example.com/a.git?tag=v1.0.0 /tagged
ADD "https://git.example.com/a.git?ref=refs/heads/x&keep-git-dir=1&submodules=false" /full
ADD --checksum=0123456789abcdef0123456789abcdef01234567 https://git.example.com/a.git#v2 /pinned
ADD ssh://git@git.example.com:2222/team/b.git#:sub/dir /sub
ADD git://git.example.com/c.git /c
ADD --exclude=*.md --exclude=docs/** https://git.example.com/d.git /d
ENV DONE=1
