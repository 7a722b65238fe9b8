"""Which flags each instruction takes, and the reading of `--name=value`."""

from __future__ import annotations

from enum import Enum

from builder.errors import LOOSELY, alike


class Takes(Enum):
    """What a flag takes: a value, nothing (or true/false), or a value each time it is given."""

    VALUE = "value"
    BOOL = "bool"
    LIST = "list"


_V, _B, _L = Takes.VALUE, Takes.BOOL, Takes.LIST
FLAGS: dict[str, dict[str, Takes]] = {
    "FROM": {"platform": _V},
    "RUN": {"mount": _L, "network": _V, "security": _V, "retry": _V, "timeout": _V, "cache": _V},
    "COPY": {"from": _V, "chown": _V, "chmod": _V, "link": _B, "parents": _B, "exclude": _L},
    "ADD": {
        "chown": _V,
        "chmod": _V,
        "link": _B,
        "exclude": _L,
        "checksum": _V,
        "keep-git-dir": _B,
        "unpack": _B,
    },
    "HEALTHCHECK": {"interval": _V, "timeout": _V, "start-period": _V, "start-interval": _V, "retries": _V},
}


class FlagError(Exception):
    """A flag that cannot be taken: message and hint; the parser adds the place."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class FlagReader:
    """Collects the flags of one instruction."""

    def __init__(self, instruction: str) -> None:
        self.instruction = instruction
        self.values: dict[str, str] = {}
        self.lists: dict[str, list[str]] = {}
        self.bools: dict[str, bool] = {}

    def take(self, text: str) -> None:
        """Read one flag as written. Raises FlagError for unknown, repeated and valueless ones."""
        name, equals, value = _unquoted(text).removeprefix("--").partition("=")
        known = FLAGS.get(self.instruction, {})
        takes = known.get(name)
        if takes is None:
            raise FlagError(f"{self.instruction} has no flag --{name}", _suggest(name, known))
        if name in self.values or name in self.bools:
            raise FlagError(f"--{name} is given twice")
        if takes is Takes.BOOL:
            self.bools[name] = _bool(name, value, bool(equals))
            return
        if not equals:
            raise FlagError(f"--{name} needs a value", f"write --{name}=…")
        if takes is Takes.LIST:
            self.lists.setdefault(name, []).append(value)
        else:
            self.values[name] = value


def _bool(name: str, value: str, given: bool) -> bool:
    if not given or value.lower() == "true":
        return True
    if value.lower() == "false":
        return False
    raise FlagError(f"--{name} is true or false, not {value!r}")


def _unquoted(text: str) -> str:
    """`text` without its quotes and backslashes, which protect white space and each other (and nothing else here)."""
    out, quote, chars = [], "", iter(text)
    for char in chars:
        if char == "\\":
            out.append(next(chars, ""))
        elif char == quote:
            quote = ""
        elif char in "'\"" and not quote:
            quote = char
        else:
            out.append(char)
    return "".join(out)


def _suggest(name: str, known: dict[str, Takes]) -> str | None:
    close = alike(name, known, LOOSELY)
    if close:
        return f"did you mean --{close}?"
    return "it takes " + ", ".join(f"--{k}" for k in known) if known else "it takes no flags"
