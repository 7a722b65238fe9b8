FROM busybox
COPY <<"two.words" /texts/
a file whose name has a dot
two.words
COPY <<'it.conf' <<"other.conf" /etc/conf/
keep $THIS
it.conf
and "$THAT"
other.conf
COPY local.txt <<extra.txt /texts/
$HOME
extra.txt
RUN ls /texts
