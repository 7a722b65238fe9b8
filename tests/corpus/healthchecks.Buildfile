FROM nginx AS plain
HEALTHCHECK CMD curl -f http://localhost/ || exit 1
FROM plain AS tuned
HEALTHCHECK --interval=5m --timeout=3s CMD ["curl", "-f", "http://localhost/"]
FROM tuned AS fine
HEALTHCHECK --interval=1h2m3.5s --timeout=1500ms --start-period=0s --start-interval=250ms --retries=0 \
  CMD /bin/check "quoted arg" \
      --deep
FROM fine AS off
HEALTHCHECK NONE
FROM off
healthcheck cmd last one counts
HEALTHCHECK --retries=7 CMD true
