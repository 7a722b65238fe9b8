"""What is set in files, for all builds of this machine or user: each value, and where it comes from.

    /etc/pybuild/config.toml                  the machine's
    $XDG_CONFIG_HOME/pybuild/config.toml      the user's, over it; without the variable ~/.config/pybuild/config.toml

    [gc]
    keep-bytes = "20GB"

Who adds a setting adds a row to SETTINGS; that row says what may be there, and what holds when nothing is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from builder.errors import UsageError, Where
from builder.graph.gotext import parse_duration
from builder.lang.sizes import parse_size
from builder.lang.toml import wrong
from builder.registry.rules import joined, parsed

_HEADER = re.compile(r"\s*\[\[?\s*([\w.-]+)\s*\]")
_KEY = re.compile(r"\s*(\"?)([\w.-]+)\1\s*=\s*")
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


def files(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Where settings may be, the later over the earlier; they need not be there."""
    own = environ.get("XDG_CONFIG_HOME", "")
    # XDG base directory specification: a relative path there is to be ignored
    home = Path(own) if own.startswith("/") else Path(environ.get("HOME") or Path.home()) / ".config"
    return Path("/etc/pybuild/config.toml"), home / "pybuild/config.toml"


def settings(paths: tuple[Path, ...] | None = None) -> dict[str, Value]:
    """Every setting's value by its name. Raises UsageError for a file that cannot be meant so."""
    found = {name: Value(setting.read(setting.default), setting.default) for name, setting in SETTINGS.items()}
    for path in files(os.environ) if paths is None else paths:
        if path.is_file():
            for name, value in _read(path):
                join = SETTINGS[name].join
                found[name] = replace(value, value=join(found[name].value, value.value)) if join else value
    return found


def _read(path: Path) -> Iterator[tuple[str, Value]]:
    # lazy: few have a file
    import tomllib

    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said, where = wrong(str(path), text, error)
        raise UsageError(f"not TOML: {said}", where=where) from error
    for name, said in _flat(document, ""):
        key, value = _place(path, text, name)
        setting = SETTINGS.get(name)
        if setting is None:
            raise UsageError(f"there is no setting {name}", where=key, hint=_nearest(name))
        try:
            yield name, Value(setting.read(said), said, key)
        except ValueError as error:
            raise UsageError(f"{name} cannot be {said!r}", where=value, hint=str(error)) from error


def _flat(table: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    """The names and values of a table and all in it; a table where there can be none is a value."""
    for name, value in table.items():
        whole = f"{above}{name}"
        if isinstance(value, dict) and whole not in SETTINGS and any(s.startswith(f"{whole}.") for s in SETTINGS):
            yield from _flat(value, f"{whole}.")
        else:
            yield whole, value


def _place(path: Path, text: str, name: str) -> tuple[Where, Where]:
    """Where a file has the key `name` or the table it is in, and where its value."""
    above, best = "", (1, 1, 1)
    for number, line in enumerate(text.splitlines(), 1):
        header, key = _HEADER.match(line), _KEY.match(line)
        if header is not None:
            above = f"{header[1]}."
            if name == header[1] or (name.startswith(above) and best == (1, 1, 1)):
                best = (number, header.start(1) + 1, header.start(1) + 1)
        elif key is not None and f"{above}{key[2]}" == name:
            best = (number, key.start(2) + 1, key.end() + 1)
            break
    number, column, value = best
    source = (text.splitlines() or [""])[number - 1]
    return Where(str(path), number, column, source), Where(str(path), number, value, source)


def _nearest(name: str) -> str:
    # lazy: only an error needs it
    import difflib

    close = difflib.get_close_matches(name, SETTINGS, 1, 0.5)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(SETTINGS)}"
