FROM busybox
ENV name=release-1.2.3-rc.1 empty= path=/usr/local/lib/libz.so.1.3
ENV a=${name:-x} b=${nothing:-x} c=${empty:-x} d=${empty-x}
ENV e=${name:+set} f=${nothing:+set} g=${empty+set} h=${empty:+set}
ENV i="${name:?must be set}" j=${empty?fine}
ENV k=${name#release-} l=${name##*-} m=${name%-*} n=${name%%-*}
ENV o=${path/lib/LIB} p=${path//lib/LIB} q=${path/%so/x} r=${path//\//_}
ENV s=${nothing:-${empty:-${name}}} t=${name:+${path##*/}} u="${name#*[0-9]}"
ENV v=${name#?????} w=${name//[-.]/_} x=${name/rel*1/<&>}
ENV y='${name}' z="'${name}'" aa=\${name} bb=$name$path cc=$name_x dd=${name}_x
LABEL all="$a$b$c$d" k=$k l="$l" "$m"=$n
