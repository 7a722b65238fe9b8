"""Signatures with keys: key files as cosign has them, and what cosign signs of an image."""
