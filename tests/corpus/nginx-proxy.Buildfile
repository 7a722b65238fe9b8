FROM nginx:mainline
RUN rm /etc/nginx/conf.d/default.conf
COPY nginx/templates/*.template /etc/nginx/templates/
COPY --chmod=0640 --chown=root:nginx certs/ /etc/nginx/certs/
ENV BACKEND=app:8000 \
    NGINX_ENVSUBST_FILTER='^(BACKEND|HOST)$'
EXPOSE 80 443 443/udp
HEALTHCHECK --interval=15s CMD ["service", "nginx", "status"]
STOPSIGNAL SIGQUIT
