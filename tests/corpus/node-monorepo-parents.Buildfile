# syntax=docker/dockerfile:1.7-labs
FROM node:20 AS manifests
WORKDIR /repo
COPY --parents package.json packages/*/package.json apps/./*/package.json ./
RUN npm install --workspaces --include-workspace-root

FROM manifests AS sources
COPY --parents --exclude=**/*.test.ts --exclude=**/dist packages apps ./
RUN npm run build --workspaces

FROM node:20-slim
COPY --link --from=sources /repo/apps/web/dist /srv/web/
COPY --link --from=sources --chmod=0755 /repo/apps/web/run.sh /usr/local/bin/run
CMD ["run"]
