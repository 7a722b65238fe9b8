#!/bin/sh
export DOCKER_BUILDKIT=0
docker login -u "$USER" registry.example
docker --debug buildx build --platform linux/amd64,linux/arm64 --atest type=sbom -o type=nothing "$PWD"
podman build --format docker --userns=auto . | tee log
docker buildx bake release && docker compose up -d
