"""One step in isolation. Knows no image, no store, no Dockerfile."""
