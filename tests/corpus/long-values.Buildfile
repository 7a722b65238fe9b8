FROM debian:12-slim
ENV LONG="Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore magna aliqua. Ut enim ad minim veniam, quis nostrud exercitation ullamco laboris nisi ut aliquip ex ea commodo consequat."
LABEL json='{"name": "x", "list": [1, 2, 3], "nested": {"quote": "\"", "empty": ""}}' \
      yaml="a: 1\nb: 2"
ENV JAVA_TOOL_OPTIONS="-Dfile.encoding=UTF-8 -Dsun.jnu.encoding=UTF-8 -XX:+UseG1GC -XX:MaxGCPauseMillis=200 -Djava.awt.headless=true"
RUN echo "$LONG" | fold -s -w 40
CMD ["sh", "-c", "echo \"$LONG\" '$JAVA_TOOL_OPTIONS'"]
VOLUME /a/very/long/path/that/goes/on/and/on/and/ends/somewhere
