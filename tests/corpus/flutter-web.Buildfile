FROM debian:12 AS flutter
RUN apt-get update && apt-get install -y git curl unzip xz-utils
ADD --keep-git-dir=true https://git.example.com/flutter/flutter.git#stable /opt/flutter
ENV PATH="/opt/flutter/bin:/opt/flutter/bin/cache/dart-sdk/bin:${PATH}"
RUN flutter config --enable-web && flutter doctor -v
WORKDIR /app
COPY pubspec.* ./
RUN flutter pub get
COPY . .
RUN flutter build web --release --base-href="/${BASE_HREF:-}"
FROM caddy:2-alpine
COPY --from=flutter /app/build/web /usr/share/caddy
