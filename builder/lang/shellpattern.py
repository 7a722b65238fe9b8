"""The patterns of `${name#pattern}` and `${name/pattern/text}`: `*`, `?` and escapes, matched in linear time.

A regular expression would backtrack: with a few stars and a long value it would never end. Cut at its stars, a
pattern is a row of pieces that must follow each other; taking each at its first place decides whether it matches.
"""

from __future__ import annotations

import re

# The longest that variables may make a word; the kernel takes no longer argument than 128 KiB (execve(2)).
LONGEST = 1 << 20


class BadPatternError(ValueError):
    """An escape that protects nothing."""


class ShellPattern:
    """A compiled pattern. `pieces` are what stands between its stars."""

    def __init__(self, pattern: str, escape: str) -> None:
        """Compile `pattern`. Raises BadPatternError."""
        pieces: list[list[str]] = [[]]
        chars = iter(pattern)
        for char in chars:
            if char == "*":
                pieces.append([])
            elif char == "?":
                pieces[-1].append(".")
            elif char == escape:
                protected = next(chars, "")
                if protected not in ("*", "?", "}", "/", escape):
                    raise BadPatternError(f"{escape}{protected}")
                pieces[-1].append(re.escape(protected))
            else:
                pieces[-1].append(re.escape(char))
        self._pieces = pieces

    def trimmed(self, value: str, *, suffix: bool, longest: bool) -> str:
        """`value` without the shortest or longest match at its start, or at its end when `suffix`."""
        if not suffix:
            end = _prefix(_compiled(self._pieces), value, longest)
            return value if end is None else value[end:]
        backwards = [piece[::-1] for piece in reversed(self._pieces)]
        end = _prefix(_compiled(backwards), value[::-1], longest)
        return value if end is None else value[: len(value) - end]

    def replaced(self, value: str, text: str, *, every: bool) -> str:
        """`value` with the first match, or every one, replaced by `text`; matches are as long as they can be.

        Raises OverflowError for a result longer than LONGEST.
        """
        pieces = _compiled(self._pieces)
        if len(pieces) == 1:
            rest, count = pieces[0].subn("", value, count=0 if every else 1)
            if len(rest) + count * len(text) > LONGEST:
                raise OverflowError(f"variables make a word longer than {LONGEST} characters")
            return pieces[0].sub(lambda _: text, value, count=0 if every else 1)
        out, at = [], 0
        while at <= len(value):
            found = _search(pieces, value, at)
            if found is None:
                break
            start, end = found
            out += [value[at:start], text]
            if end == start:
                out.append(value[start : start + 1])
                end += 1
            at = end
            if not every:
                break
        return "".join([*out, value[at:]])


def _compiled(pieces: list[list[str]]) -> list[re.Pattern[str]]:
    return [re.compile("".join(piece), re.DOTALL) for piece in pieces]


def _prefix(pieces: list[re.Pattern[str]], value: str, longest: bool) -> int | None:
    """Where a match that begins at 0 ends; None when there is none."""
    first = pieces[0].match(value)
    return None if first is None else _rest(pieces[1:], value, first.end(), longest)


def _search(pieces: list[re.Pattern[str]], value: str, at: int) -> tuple[int, int] | None:
    first = pieces[0].search(value, at)
    if first is None:
        return None
    end = _rest(pieces[1:], value, first.end(), longest=True)
    return None if end is None else (first.start(), end)


def _rest(pieces: list[re.Pattern[str]], value: str, at: int, longest: bool) -> int | None:
    """The end of `pieces`, each after a star, from `at` on."""
    for number, piece in enumerate(pieces, 1):
        found = piece.search(value, at)
        if found is None:
            return None
        if longest and number == len(pieces):
            return _last(piece, value, found)
        at = found.end()
    return at


def _last(piece: re.Pattern[str], value: str, found: re.Match[str]) -> int:
    """The end of the last place from `found` on where `piece` matches; all matches are of one length."""
    length = found.end() - found.start()
    if not length:
        return len(value)
    for start in range(len(value) - length, found.start(), -1):
        if piece.match(value, start):
            return start + length
    return found.end()
