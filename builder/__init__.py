"""pybuild: container images from Dockerfile-like recipes, without a daemon."""

from builder.version import __version__

__all__ = ["__version__"]
