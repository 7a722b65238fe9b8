FROM python:3.11-slim-bookworm AS builder
ARG POETRY_VERSION=1.8.2
ENV POETRY_HOME=/opt/poetry \
    POETRY_VIRTUALENVS_IN_PROJECT=true \
    POETRY_NO_INTERACTION=1 \
    PATH="/opt/poetry/bin:$PATH"
RUN python -m venv $POETRY_HOME && \
    $POETRY_HOME/bin/pip install "poetry==${POETRY_VERSION}"
WORKDIR /app
COPY pyproject.toml poetry.lock ./
RUN poetry install --only=main --no-root
COPY src src
RUN poetry build --format wheel

FROM python:3.11-slim-bookworm
COPY --from=builder /app/.venv /app/.venv
COPY --from=builder /app/dist/*.whl /tmp/
ENV PATH=/app/.venv/bin:$PATH
RUN pip install --no-deps /tmp/*.whl && rm /tmp/*.whl
USER 65534:65534
ENTRYPOINT ["billing"]
