FROM rabbitmq:3.13-management-alpine
RUN rabbitmq-plugins enable --offline rabbitmq_mqtt rabbitmq_stomp rabbitmq_prometheus
COPY --chown=rabbitmq:rabbitmq --chmod=0600 definitions.json /etc/rabbitmq/definitions.json
RUN <<EOF cat >> /etc/rabbitmq/conf.d/20-extra.conf
management.load_definitions = /etc/rabbitmq/definitions.json
log.console.level = warning
vm_memory_high_watermark.relative = 0.6
EOF
EXPOSE 1883 8883 15692
VOLUME /var/lib/rabbitmq
