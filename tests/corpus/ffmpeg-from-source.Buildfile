FROM debian:bookworm AS build
ENV PREFIX=/opt/ffmpeg MAKEFLAGS=-j4
RUN apt-get update -qq && apt-get install -y -qq \
      autoconf automake build-essential cmake git-core \
      libtool nasm pkg-config texinfo wget yasm zlib1g-dev
WORKDIR /src
ADD x264.tar.bz2 opus.tar.gz ./
RUN cd x264-* && ./configure --prefix="$PREFIX" --enable-static --enable-pic && make && make install
RUN cd opus-* && ./configure --prefix="$PREFIX" --disable-shared && make && make install
ADD https://ffmpeg.example.org/releases/ffmpeg-6.1.tar.xz ffmpeg.tar.xz
RUN tar xJf ffmpeg.tar.xz --strip 1 && \
    PKG_CONFIG_PATH="$PREFIX/lib/pkgconfig" ./configure \
      --prefix="$PREFIX" \
      --extra-cflags="-I$PREFIX/include" \
      --enable-gpl --enable-libx264 --enable-libopus && \
    make && make install
FROM debian:bookworm-slim
COPY --from=build /opt/ffmpeg/bin/ff* /usr/local/bin/
ENTRYPOINT ["ffmpeg"]
CMD ["-h"]
