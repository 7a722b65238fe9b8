# syntax=docker/dockerfile:1.7
ARG NODE_VERSION=20.11.1
FROM node:${NODE_VERSION}-alpine
WORKDIR /usr/src/app
RUN --mount=type=bind,source=package.json,target=package.json \
    --mount=type=bind,source=package-lock.json,target=package-lock.json \
    --mount=type=cache,target=/root/.npm,sharing=locked \
    npm ci --omit=dev
USER node
COPY . .
EXPOSE 8080/tcp
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["npm", "start"]
