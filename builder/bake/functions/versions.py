"""semvercmp(): whether a version fits a constraint such as `>= 1.2, < 2`, `~1.4` or `^2.0 || 4.x`."""

from __future__ import annotations

import re

from msgspec import Struct

from builder.bake.values import MeaningError

_VERSION = re.compile(r"v?(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")
_TERM = re.compile(
    r"(=|!=|>=|=>|<=|=<|>|<|~>|~|\^)?\s*v?(\d+|[xX*])(?:\.(\d+|[xX*]))?(?:\.(\d+|[xX*]))?(?:-([0-9A-Za-z.-]+))?"
)
_WILD = ("x", "X", "*", None)


class Version(Struct, frozen=True):
    """Three numbers and what comes after a `-`, which is before all else."""

    numbers: tuple[int, int, int]
    before: str = ""

    def key(self) -> tuple[object, ...]:
        """By what versions are sorted."""
        parts = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in self.before.split("."))
        return self.numbers, not self.before, parts if self.before else ()


def fits(text: str, constraint: str) -> bool:
    """Whether the version `text` fits. Raises MeaningError."""
    match = _VERSION.fullmatch(text.strip())
    if match is None:
        raise MeaningError(f"{text!r} is no version")
    version = Version((int(match[1]), int(match[2] or 0), int(match[3] or 0)), match[4] or "")
    return any(_all(version, way) for way in constraint.split("||"))


def _all(version: Version, way: str) -> bool:
    at, terms = 0, list[re.Match[str]]()
    text = way.strip()
    while at < len(text):
        match = _TERM.match(text, at)
        if match is None:
            raise MeaningError(f"{way.strip()!r} is no constraint of versions")
        terms.append(match)
        at = match.end()
        while at < len(text) and text[at] in ", ":
            at += 1
    if not terms:
        raise MeaningError("the constraint is empty")
    return all(_one(version, term) for term in terms)


def _one(version: Version, term: re.Match[str]) -> bool:
    sign, parts, before = term[1] or "=", [term[2], term[3], term[4]], term[5] or ""
    given = next((n for n, part in enumerate(parts) if part in _WILD), 3)
    numbers = [int(part) for part in parts[:given] if part]
    low = Version((*numbers, *[0] * (3 - given)), before)  # type: ignore[arg-type]  # three they are
    if version.before and not before:
        return sign == "!="  # what is not released yet fits where it is asked for
    if sign in ("=", "!="):
        same = version.numbers[:given] == tuple(numbers) and (given < 3 or version.before == before)
        return same == (sign == "=")
    if sign in (">", "<=", "=<"):
        above = version.numbers[:given] > tuple(numbers) if given < 3 else version.key() > low.key()
        return above == (sign == ">")
    if sign in ("<", ">=", "=>"):
        return (version.key() < low.key()) == (sign == "<")
    return low.key() <= version.key() and _same_line(version, sign, numbers)


def _same_line(version: Version, sign: str, numbers: list[int]) -> bool:
    """Whether `~` or `^` lets a later version pass: the former to the minor one, the latter to the first not zero."""
    if sign == "^":
        fixed = next((n + 1 for n, part in enumerate(numbers) if part), len(numbers))
    else:
        fixed = min(len(numbers), 2)
    return version.numbers[:fixed] == tuple(numbers[:fixed])
