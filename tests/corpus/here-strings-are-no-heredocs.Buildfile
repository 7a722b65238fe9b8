FROM bash:5
RUN cat <<< "not a heredoc"
RUN echo $((1<<2)) $((x<<y))
RUN echo "<<EOF in quotes"
RUN echo '<<EOF'
RUN echo \<\<EOF
RUN test a << b || true
RUN echo a<<EOF
ENV X=<<EOF
CMD cat <<EOF
