"""Containers: images run by hand."""
