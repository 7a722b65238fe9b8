"""OCI documents as values: references, platforms, descriptors, configs, manifests. Pure."""
