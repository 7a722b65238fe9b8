"""File patterns as Go's filepath.Match has them: `*`, `?`, `[a-z]`, `[^a]`, backslash escapes."""

from __future__ import annotations

import re
from functools import lru_cache

from builder.errors import BuildfileError


def has_magic(pattern: str) -> bool:
    """Whether `pattern` is more than a literal name: an escaped star is none."""
    return re.search(r"[*?\[]", re.sub(r"\\.", "", pattern, flags=re.DOTALL)) is not None


def literal(pattern: str) -> str:
    """A part of a pattern that has no magic, as the name it means."""
    return re.sub(r"\\(.)", r"\1", pattern, flags=re.DOTALL) if "\\" in pattern else pattern


def escaped(name: str) -> str:
    """A pattern that names `name` alone (without magic it is taken as it stands)."""
    return re.sub(r"([*?\[])", r"[\1]", name.replace("\\", "\\\\")) if has_magic(name) else name


@lru_cache(maxsize=512)
def compile_match(pattern: str) -> re.Pattern[str]:
    """A matcher of whole names; `*` and `?` do not match a slash. Raises BuildfileError for a bad pattern."""
    return re.compile(translate(pattern) + r"\Z", re.DOTALL)


@lru_cache(maxsize=512)
def compile_tree(pattern: str) -> re.Pattern[str]:
    """A matcher of the paths `pattern` names and of all that lies below them; `**` crosses slashes.

    Raises BuildfileError for a bad pattern.
    """
    return re.compile(translate(pattern, double_star=True) + r"(?:/.*)?\Z", re.DOTALL)


@lru_cache(maxsize=64)
def compile_trees(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """As `compile_tree`, of what any of `patterns` names."""
    return re.compile("|".join(compile_tree(pattern).pattern for pattern in patterns), re.DOTALL)


def translate(pattern: str, *, double_star: bool = False) -> str:
    """`pattern` as a regular expression; with `double_star`, `**` matches across slashes as in moby/patternmatcher."""
    out: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*":
            if double_star and pattern[at : at + 1] == "*":
                at, piece = _double_star(pattern, at + 1)
                out.append(piece)
            else:
                while not double_star and pattern[at : at + 1] == "*":
                    at += 1  # a run of stars is one, and must not cost the matcher more
                out.append("[^/]*")
        elif char == "?":
            out.append("[^/]")
        elif char == "[":
            at, piece = _class(pattern, at)
            # patternmatcher hands a class to Go's regexp, where [^a] is a slash too
            out.append(piece if double_star else f"(?!/){piece}")
        elif char == "\\":
            if at >= len(pattern):
                raise BuildfileError(f"the pattern {pattern!r} ends with an escape")
            out.append(re.escape(pattern[at]))
            at += 1
        else:
            out.append(re.escape(char))
    return "".join(out)


def _double_star(pattern: str, at: int) -> tuple[int, str]:
    """What the `**` before `at` means: the index after it and the slash it takes in, and its regular expression."""
    rest = pattern[at:]
    if at == 2 and rest and not rest.startswith("/") and not any(char in rest for char in "*?[]\\"):
        return at, ".*"  # `**name` is any path that ends so
    while True:
        at += pattern.startswith("/", at)
        if not pattern.startswith("**", at):
            return at, "(?:.*/)?" if at < len(pattern) else ".*"
        at += 2  # says the same again


def _class(pattern: str, at: int) -> tuple[int, str]:
    """A `[…]` whose inside begins at `at`: the index after it, and its regular expression."""
    start = at
    negated = pattern[at : at + 1] == "^"
    at += negated
    ranges: list[str] = []
    while True:
        if at >= len(pattern):
            raise BuildfileError(f"the pattern {pattern!r} has a [ without its ]")
        if pattern[at] == "]" and ranges:
            break
        at, low = _class_char(pattern, at)
        high = low
        if pattern[at : at + 1] == "-":
            at, high = _class_char(pattern, at + 1)
        if low > high:
            raise BuildfileError(f"the pattern {pattern!r} has an empty range in {pattern[start - 1 : at]}")
        ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    return at + 1, f"[{'^' if negated else ''}{''.join(ranges)}]"


def _class_char(pattern: str, at: int) -> tuple[int, str]:
    if pattern[at : at + 1] == "\\":
        at += 1
    char = pattern[at : at + 1]
    if not char or (char in "-]" and pattern[at - 1] != "\\"):
        raise BuildfileError(f"the pattern {pattern!r} has a bad [ ]")
    return at + 1, char
