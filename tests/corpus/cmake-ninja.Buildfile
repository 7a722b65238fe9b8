FROM ubuntu:22.04 AS build
ARG DEBIAN_FRONTEND=noninteractive
ARG BUILD_TYPE=RelWithDebInfo
RUN apt-get update && apt-get install -y --no-install-recommends cmake ninja-build g++ ccache
ENV CCACHE_DIR=/ccache
WORKDIR /src
RUN --mount=type=bind,target=. \
    --mount=type=cache,target=/ccache \
    cmake -S . -B /tmp/b -G Ninja -DCMAKE_BUILD_TYPE=${BUILD_TYPE} -DCMAKE_CXX_COMPILER_LAUNCHER=ccache && \
    cmake --build /tmp/b && cmake --install /tmp/b --prefix /dist
FROM ubuntu:22.04
COPY --link --from=build /dist/ /usr/local/
RUN ldconfig
CMD ["engine", "--help"]
