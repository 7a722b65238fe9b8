"""`--filter KEY=VALUE` of lists: the keys each list knows, and what texts say of them."""

from __future__ import annotations

from collections.abc import Sequence

from builder.errors import UsageError, alike

IMAGES = ("dangling", "label", "before", "since", "until", "reference")
CONTAINERS = ("id", "name", "label", "status", "ancestor", "before", "since", "exited", "volume", "network")
MOUNTS = ("id", "target", "sharing", "in-use")
STEPS = ("until", "unused-for", "type", "stage", "id")
_TRUE, _FALSE = ("true", "1", "t"), ("false", "0", "f")


def parsed(texts: Sequence[str], keys: Sequence[str]) -> dict[str, list[str]]:
    """The values that `texts`, KEY=VALUE each, ask for, by key. Raises UsageError for what is none of `keys`."""
    wanted: dict[str, list[str]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if key not in keys or not equals:
            raise unknown(text, keys)
        wanted.setdefault(key, []).append(value)
    return wanted


def unknown(text: str, keys: Sequence[str]) -> UsageError:
    """What is said of a filter that is none."""
    key, _, value = text.partition("=")
    if key in keys:
        return UsageError(f"--filter {text} is not known: {key} has no value", hint=f"use {key}=VALUE")
    close = alike(key.lower(), keys)
    there = f"use {', '.join(f'{known}=' for known in keys[:-1])} or {keys[-1]}="
    hint = f"did you mean {close}={value}? else {there}" if close else there
    return UsageError(f"--filter {text} is not known", hint=hint)


def boolean(key: str, text: str) -> bool:
    """A value that is true or false. Raises UsageError."""
    if text.lower() not in (*_TRUE, *_FALSE):
        raise UsageError(f"--filter {key}={text} is not known", hint=f"use {key}=true or {key}=false")
    return text.lower() in _TRUE
