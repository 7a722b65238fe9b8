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
            end = _prefix(self._pieces, value, longest)
            return value if end is None else value[end:]
        backwards = [piece[::-1] for piece in reversed(self._pieces)]
        end = _prefix(backwards, value[::-1], longest)
        return value if end is None else value[: len(value) - end]

    def replaced(self, value: str, text: str, *, every: bool) -> str:
        """`value` with the first match, or every one, replaced by `text`; matches are as long as they can be.

        Raises OverflowError for a result longer than LONGEST.
        """
        pieces = self._pieces
        if len(pieces) == 1:
            only = _compiled(pieces[0])
            rest, count = only.subn("", value, count=0 if every else 1)
            if len(rest) + count * len(text) > LONGEST:
                raise OverflowError(f"variables make a word longer than {LONGEST} characters")
            return only.sub(lambda _: text, value, count=0 if every else 1)
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


def _compiled(piece: list[str]) -> re.Pattern[str]:
    return re.compile("".join(piece), re.DOTALL)


def _prefix(pieces: list[list[str]], value: str, longest: bool) -> int | None:
    """Where a match that begins at 0 ends; None when there is none."""
    first = _compiled(pieces[0]).match(value)
    return None if first is None else _rest(pieces[1:], value, first.end(), longest)


def _search(pieces: list[list[str]], value: str, at: int) -> tuple[int, int] | None:
    first = _compiled(pieces[0]).search(value, at)
    if first is None:
        return None
    end = _rest(pieces[1:], value, first.end(), longest=True)
    return None if end is None else (first.start(), end)


def _rest(pieces: list[list[str]], value: str, at: int, longest: bool) -> int | None:
    """The end of `pieces`, each after a star, from `at` on."""
    for number, piece in enumerate(pieces, 1):
        found = _compiled(piece).search(value, at)
        if found is None:
            return None
        at = found.end()
        if longest and number == len(pieces):
            # The last place is the first one from behind: a search does not look at a character again and again.
            last = _compiled(piece[::-1]).search(value[::-1], 0, len(value) - found.start())
            return at if last is None else len(value) - last.start()
    return at
