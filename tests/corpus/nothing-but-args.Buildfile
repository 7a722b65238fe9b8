ARG A=1
ARG B=${A}2
ARG C="$B 3" D='$B'
ARG E=${A:+${B:-${C}}}
ARG F
FROM busybox:${A}
ARG A B C D E F
ENV ALL="$A|$B|$C|$D|$E|$F"
LABEL all=$ALL
