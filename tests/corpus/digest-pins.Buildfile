FROM node:20@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 AS build
COPY . .
RUN npm run build
FROM registry.example.com:5000/team/base-image:2024.03.1
COPY --from=build /dist /dist
COPY --from=registry.example.com:5000/team/tools /bin/tool /bin/
COPY --from=localhost:5000/x:y / /xy/
COPY --from=library/alpine@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 /etc/os-release /
RUN --mount=from=busybox:1.36,target=/bb /bb/bin/busybox true
