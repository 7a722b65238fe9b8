ARG ELASTIC_VERSION
FROM elasticsearch:${ELASTIC_VERSION:-8.13.0}
RUN bin/elasticsearch-plugin install --batch analysis-icu && \
    bin/elasticsearch-plugin install --batch repository-s3
COPY --chown=elasticsearch:root config/elasticsearch.yml config/
COPY --chown=elasticsearch:root config/synonyms/ config/synonyms/
ENV ES_JAVA_OPTS="-Xms512m -Xmx512m" discovery.type=single-node bootstrap.memory_lock=true
EXPOSE 9200 9300
HEALTHCHECK --interval=20s --timeout=5s --retries=10 \
    CMD curl -s http://localhost:9200/_cluster/health | grep -vq '"status":"red"'
