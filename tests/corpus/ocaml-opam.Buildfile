FROM ocaml/opam:alpine-ocaml-5.1 AS build
RUN sudo apk add --no-cache gmp-dev libev-dev
WORKDIR /home/opam/app
COPY --chown=opam *.opam dune-project ./
RUN opam install --deps-only --with-test .
COPY --chown=opam . .
RUN opam exec -- dune build --profile release ./bin/main.exe
FROM alpine:3.19
RUN apk add --no-cache gmp libev
COPY --from=build /home/opam/app/_build/default/bin/main.exe /bin/app
CMD [ "/bin/app" ]
