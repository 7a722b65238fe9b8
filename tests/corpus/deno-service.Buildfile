FROM denoland/deno:alpine-1.42.1
LABEL org.example.component=mailer \
      org.example.team="notification crew"
WORKDIR /mailer
USER deno
COPY deno.json deno.lock ./
COPY --chown=deno src/ ./src/
RUN deno cache --lock=deno.lock src/main.ts
EXPOSE 1993
CMD ["run", "--allow-net", "--allow-read=/mailer", "src/main.ts"]
