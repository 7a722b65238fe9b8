"""What the machine's and the user's files set: each value, and where it comes from.

    [gc]
    keep-bytes = "20GB"

Who adds a setting adds a row to SETTINGS; that row says what may be there, and what holds when nothing is. Defaults of
options are not among them (config/defaults).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from builder.config.document import DEFAULTS, read
from builder.config.places import files
from builder.errors import UsageError, Where, suggestion
from builder.graph.gotext import parse_duration
from builder.lang.sizes import parse_size
from builder.registry.rules import joined, parsed

_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_DAYS = re.compile(r"(\d+)d")


class Amount(Struct, frozen=True):
    """So many bytes, or a part of a disk, in percent."""

    bytes: int = 0
    percent: float | None = None

    def of(self, disk: int) -> int:
        """The bytes on a disk of `disk` bytes."""
        return self.bytes if self.percent is None else int(disk * self.percent / 100)


class Setting(Struct, frozen=True):
    """`default` in the words of a file; `read` makes a value of what a file says, or raises ValueError with a hint.

    `join` makes one value of two files', the later second; without it the later file's holds.
    """

    default: Any
    read: Callable[[Any], Any]
    join: Callable[[Any, Any], Any] | None = None


class Value(Struct, frozen=True):
    """A value, what the file says (or the default), and the place; None for the default."""

    value: Any
    said: Any
    where: Where | None = None


def _switch(said: Any) -> bool:
    if not isinstance(said, bool):
        raise ValueError("use true or false")
    return said


def _amount(said: Any) -> Amount:
    if isinstance(said, int) and not isinstance(said, bool) and said >= 0:
        return Amount(said)
    text = said if isinstance(said, str) else ""
    percent, size = _PERCENT.fullmatch(text), parse_size(text)
    if percent is not None and float(percent[1]) <= 100:
        return Amount(percent=float(percent[1]))
    if size is None:
        raise ValueError('use a size or a part of the disk, such as "20GB" or "10%"')
    return Amount(size)


def _duration(said: Any) -> float | None:
    """Seconds; None for `never`."""
    text = said if isinstance(said, str) else ""
    if text == "never":
        return None
    days = _DAYS.fullmatch(text)
    try:
        found = int(days[1]) * 86400 * 10**9 if days else parse_duration(text)
    except ValueError:
        found = -1
    if found < 0:
        raise ValueError('use a time such as "48h" or "60d", or "never"')
    return found / 1e9


SETTINGS: Mapping[str, Setting] = {
    "gc.enabled": Setting(True, _switch),
    "gc.keep-bytes": Setting("10%", _amount),
    "gc.min-free": Setting("5%", _amount),
    "gc.keep-duration": Setting("never", _duration),
    "gc.keep-untagged": Setting("24h", _duration),
    "gc.keep-mounts": Setting("30d", _duration),
    "images.unpacked-bytes": Setting("4GB", _amount),
    "registry": Setting([], parsed, joined),
}


def settings(paths: Sequence[str] | None = None) -> dict[str, Value]:
    """Every setting's value by its name. Raises UsageError for a file that cannot be meant so."""
    found = {name: Value(setting.read(setting.default), setting.default) for name, setting in SETTINGS.items()}
    for path in files(os.environ) if paths is None else paths:
        for name, value in _read(path):
            join = SETTINGS[name].join
            found[name] = replace(value, value=join(found[name].value, value.value)) if join else value
    return found


def _read(path: str) -> Iterator[tuple[str, Value]]:
    document = read(path)
    if document is None:
        return
    for name, said in document.values(SETTINGS):
        if name.startswith(DEFAULTS):
            continue
        key, value = document.place(name)
        setting = SETTINGS.get(name)
        if setting is None:
            raise UsageError(f"there is no setting {name}", where=key, hint=suggestion(name, SETTINGS))
        try:
            yield name, Value(setting.read(said), said, key)
        except ValueError as error:
            raise UsageError(f"{name} cannot be {said!r}", where=value, hint=str(error)) from error
