"""The distribution client: manifests and blobs from registries. Knows no store."""
