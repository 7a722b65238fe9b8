"""When registries are asked for base images: the policies of --pull, in buildah's words."""

from __future__ import annotations

ALWAYS, MISSING, NEWER, NEVER = POLICIES = ("always", "missing", "newer", "never")
