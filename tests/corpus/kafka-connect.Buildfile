FROM confluent/kafka-connect:7.6.0 as base
USER root
RUN for p in \
      debezium/debezium-connector-postgresql:2.4.2 \
      confluentinc/kafka-connect-s3:10.5.8 \
    ; do confluent-hub install --no-prompt "$p"; done
FROM base
ENV CONNECT_PLUGIN_PATH="/usr/share/java,/usr/share/confluent-hub-components"
COPY --from=base /usr/share/confluent-hub-components /usr/share/confluent-hub-components
COPY log4j.properties.template /etc/confluent/docker/
USER appuser
