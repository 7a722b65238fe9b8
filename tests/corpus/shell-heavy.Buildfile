FROM bash:5.2
SHELL ["/usr/local/bin/bash", "-c"]
RUN shopt -s extglob; for f in !(*.md); do echo "${f^^}"; done
RUN cat <(echo one) <(echo two) > /out
RUN a=([0]=x [1]=y); echo ${#a[@]} $((1<<4)) ; [[ "x" =~ ^x$ ]] && echo yes
RUN echo $'tab\there' "$(( 2 ** 10 ))" `uname -s` {a,b}{1,2}
RUN cat <<<"here string" > /str
RUN printf "%s\n" "a 'b' \"c\" \$d" 'e "f"' \
  && true || { echo fail; exit 1; }
CMD while :; do sleep 3600 & wait $!; done
