"""Bake files: what several images are built from, as targets. Pure: text and variables in, targets and requests out."""
