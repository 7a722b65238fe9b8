"""Yes and no as Go programs write them (strconv.ParseBool): in mounts, git references, checks and build arguments."""

from __future__ import annotations

_WORDS = {
    **dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True),
    **dict.fromkeys(("0", "f", "F", "FALSE", "false", "False"), False),
}


def parse_bool(text: str) -> bool | None:
    """What `text` means; None when it is neither."""
    return _WORDS.get(text)
