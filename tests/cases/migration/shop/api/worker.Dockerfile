FROM python:3.12
RUN --device=nvidia.com/gpu=all true
