"""Which names of variables say that their values are secrets, as BuildKit's SecretsUsedInArgOrEnv has it."""

from __future__ import annotations

import re

# The whole name, or its first or last word, or one in between.
_SECRET = re.compile(
    r"(?:_|^)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)", re.IGNORECASE
)
_NO_SECRET = re.compile(r"(?:_|^)(?:public|file|version)(?:_|$)", re.IGNORECASE)


def names_secret(name: str) -> bool:
    """Whether a variable of this name is likely to hold a secret."""
    return bool(_SECRET.search(name)) and not _NO_SECRET.search(name)
