# syntax=docker/dockerfile:1
FROM python:3.13-slim AS build
COPY --from=example/uv:0.4 /uv /bin/uv
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
WORKDIR /app
RUN --mount=type=cache,id=uv,target=/root/.cache/uv \
    --mount=type=bind,source=uv.lock,target=uv.lock \
    --mount=type=bind,source=pyproject.toml,target=pyproject.toml \
    uv sync --frozen --no-install-project
ADD . /app
RUN --mount=type=cache,id=uv,target=/root/.cache/uv uv sync --frozen
FROM python:3.13-slim
COPY --from=build --chown=app:app /app /app
ENV PATH="/app/.venv/bin:${PATH}"
CMD ["python", "-m", "service"]
