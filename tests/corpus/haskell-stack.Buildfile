FROM haskell:9.6 AS deps
WORKDIR /opt/build
COPY stack.yaml package.yaml stack.yaml.lock /opt/build/
RUN stack build --system-ghc --dependencies-only
FROM deps AS build
COPY . /opt/build/
RUN stack build --system-ghc
RUN mv "$(stack path --local-install-root --system-ghc)/bin" /opt/build/bin
FROM debian:buster-slim
RUN mkdir -p /opt/app
WORKDIR /opt/app
COPY --from=build /opt/build/bin .
CMD ["/opt/app/site", "80"]
