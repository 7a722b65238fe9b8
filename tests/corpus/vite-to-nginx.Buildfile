FROM node:lts AS build
ARG VITE_API_URL=https://api.example.com
ARG VITE_RELEASE
ENV VITE_RELEASE=${VITE_RELEASE:-dev}
WORKDIR /build
COPY ["package.json", "package-lock.json", "./"]
RUN npm ci
COPY . ./
RUN npm run build -- --outDir /out

FROM nginx:1.25-alpine
COPY <<'EOF' /etc/nginx/conf.d/default.conf
server {
    listen 80;
    root /usr/share/nginx/html;
    location / {
        try_files $uri $uri/ /index.html;
    }
}
EOF
COPY --from=build /out /usr/share/nginx/html
STOPSIGNAL SIGQUIT
