"""One file with settings: its values by their whole names, with their places. Not here: which there may be."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from builder.errors import UsageError, Where
from builder.lang.toml import wrong

# How the names of defaults of options begin; all others are settings.
DEFAULTS = "defaults."
_HEADER = re.compile(r"\s*\[\[?\s*([\w.-]+)\s*\]")
_KEY = re.compile(r"\s*(\"?)([\w.-]+)\1\s*=\s*")


class Document(Struct, frozen=True):
    """A file at `path`: its `text`, and what TOML makes of it."""

    path: str
    text: str
    table: Mapping[str, Any]

    def values(self, whole: Iterable[str]) -> Iterator[tuple[str, Any]]:
        """The values with their names, such as `gc.keep-bytes`; the names in `whole` may be those of tables."""
        yield from _flat(self.table, "", frozenset(whole))

    def place(self, name: str) -> tuple[Where, Where]:
        """Where the file has the key `name` or the table it is in, and where its value."""
        above, best = "", (1, 1, 1)
        lines = self.text.splitlines() or [""]
        for number, line in enumerate(lines, 1):
            header, key = _HEADER.match(line), _KEY.match(line)
            if header is not None:
                above = f"{header[1]}."
                if name == header[1] or (name.startswith(above) and best == (1, 1, 1)):
                    best = (number, header.start(1) + 1, header.start(1) + 1)
            elif key is not None and f"{above}{key[2]}" == name:
                best = (number, key.start(2) + 1, key.end() + 1)
                break
        number, column, value = best
        source = lines[number - 1]
        return Where(self.path, number, column, source), Where(self.path, number, value, source)


def read(path: str) -> Document | None:
    """The file at `path`, None where there is none. Raises UsageError for what cannot be read, or is no TOML."""
    if not os.path.isfile(path):
        return None
    # lazy: few have a file
    import tomllib

    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8") from error
    try:
        return Document(path, text, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        said, where = wrong(path, text, error)
        raise UsageError(f"not TOML: {said}", where=where) from error
    except RecursionError as error:
        raise UsageError(f"{path} is nested too deeply") from error


def _flat(table: Mapping[str, Any], above: str, whole: frozenset[str]) -> Iterator[tuple[str, Any]]:
    """The names and values of a table and all in it; a table where there can be none is a value."""
    for name, value in table.items():
        full = f"{above}{name}"
        is_table = f"{full}.".startswith(DEFAULTS) or any(each.startswith(f"{full}.") for each in whole)
        if isinstance(value, dict) and full not in whole and is_table:
            yield from _flat(value, f"{full}.", whole)
        else:
            yield full, value
