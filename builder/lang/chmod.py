"""The modes of `--chmod`: octal, or symbolic as chmod(1) has them (`u=rwX,go-w`)."""

from __future__ import annotations

import re

from msgspec import Struct

_OCTAL = re.compile(r"[0-7]+\Z")
_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[ugo]|[rwxXst]*))+)\Z")
_ACTION = re.compile(r"([-+=])([ugo](?![rwxXst])|[rwxXst]*)")
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111}
_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o1007, "a": 0o7777}
_SHIFT = {"u": 6, "g": 3, "o": 0}
_MOST = 0o7777


class _Action(Struct, frozen=True):
    who: str
    operator: str
    what: str


class ModeChange(Struct, frozen=True):
    """A parsed mode: a fixed one, or changes to be made to the one a file has."""

    fixed: int | None = None
    actions: tuple[_Action, ...] = ()

    @classmethod
    def parse(cls, text: str) -> ModeChange:
        """Read octal digits up to 07777, or comma separated clauses. Raises ValueError."""
        if _OCTAL.match(text):
            mode = int(text, 8)
            if mode > _MOST:
                raise ValueError(text)
            return cls(mode)
        actions = []
        for clause in text.split(","):
            match = _CLAUSE.match(clause)
            if match is None:
                raise ValueError(text)
            actions += [_Action(match[1] or "a", a[1], a[2]) for a in _ACTION.finditer(match[2])]
        return cls(None, tuple(actions))

    def applied(self, mode: int, *, directory: bool) -> int:
        """What becomes of `mode` (permission bits)."""
        if self.fixed is not None:
            return self.fixed
        for action in self.actions:
            mode = _act(action, mode, directory=directory)
        return mode


def _act(action: _Action, mode: int, *, directory: bool) -> int:
    mask = 0
    for who in action.who:
        mask |= _WHO[who]
    bits = 0
    if action.what in _SHIFT and action.what:
        own = mode >> _SHIFT[action.what] & 7
        bits = own << 6 | own << 3 | own
    else:
        for what in action.what:
            if what in _BITS:
                bits |= _BITS[what]
            elif what == "X" and (directory or mode & 0o111):
                bits |= 0o111
            elif what == "s":
                bits |= 0o6000
            elif what == "t":
                bits |= 0o1000
    bits &= mask
    if action.operator == "+":
        return mode | bits
    if action.operator == "-":
        return mode & ~bits
    # A directory keeps its set-ID bits unless they are named (chmod(1), "SETUID AND SETGID BITS")
    kept = mode & 0o6000 if directory else 0
    return mode & ~mask | bits | kept
