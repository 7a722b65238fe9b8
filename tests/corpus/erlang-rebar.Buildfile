FROM erlang:26-alpine AS build
WORKDIR /b
COPY rebar.config rebar.lock ./
RUN rebar3 compile
COPY . .
RUN rebar3 as prod release -o /rel
FROM alpine:3.19
RUN apk add --no-cache openssl ncurses-libs libstdc++
COPY --from=build /rel /opt
VOLUME ["/opt/chat/log", "/opt/chat/data"]
EXPOSE 5222 5269 5280-5290
ENTRYPOINT ["/opt/chat/bin/chat"]
CMD ["foreground"]
