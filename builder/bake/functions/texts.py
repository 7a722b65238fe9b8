"""Text: cutting, joining, patterns, formats."""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

from builder.bake.functions.declare import Function, anything, whole
from builder.bake.functions.formatting import formatted, formatted_list
from builder.bake.values import LONGEST, MeaningError, Value, joined, to_string, to_strings

# Named classes that Go has and Python has not.
_CLASSES = {
    "[:alnum:]": "0-9A-Za-z",
    "[:alpha:]": "A-Za-z",
    "[:blank:]": r"\t ",
    "[:digit:]": "0-9",
    "[:lower:]": "a-z",
    "[:punct:]": r"!-/:-@\[-`{-~",
    "[:space:]": r"\t\n\v\f\r ",
    "[:upper:]": "A-Z",
    "[:word:]": "0-9A-Za-z_",
    "[:xdigit:]": "0-9A-Fa-f",
}


def characters(text: str) -> list[str]:
    """What a reader takes for characters: each with the marks that belong to it."""
    found: list[str] = []
    for one in text:
        before = found[-1] if found else ""
        belongs = unicodedata.combining(one) or one in "\u200d\ufe0f" or before.endswith("\u200d")
        if before and (belongs or (before, one) == ("\r", "\n")):
            found[-1] += one
        else:
            found.append(one)
    return found


def _indented(spaces: int, text: str) -> str:
    if not 0 <= spaces <= 1000:
        raise MeaningError("it is indented by 0 to 1000 spaces")
    return _replaced(text, "\n", "\n" + " " * spaces)


def _joined(separator: str, *lists: list[str]) -> str:
    texts = [text for each in lists for text in each]
    return joined(part for number, text in enumerate(texts) for part in ([separator] if number else []) + [text])


def _split(separator: str, text: str) -> list[Value]:
    return list(text.split(separator) if separator else text)


def _substr(text: str, offset: int, length: int) -> str:
    all_ = characters(text)
    begin = offset + len(all_) if offset < 0 else offset
    if length < -1 or begin < 0:
        raise MeaningError("there is no such part of the text")
    return "".join(all_[begin:] if length == -1 else all_[begin : begin + length])


def _titled(text: str) -> str:
    """The first letter of each word large, the others as they are."""
    return re.sub(r"(^|[^\w'])(\w)", lambda m: m[1] + m[2].title(), text)


def _replaced(text: str, old: str, new: str) -> str:
    if text.count(old) * len(new) > LONGEST:
        raise MeaningError("the text becomes too long")
    return text.replace(old, new)


# --- patterns ------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def pattern(text: str) -> re.Pattern[str]:
    """A regular expression as Go writes it. Raises MeaningError."""
    for name, class_ in _CLASSES.items():
        text = text.replace(name, class_)
    try:
        return re.compile(text.replace(r"\z", r"\Z"))
    except (re.error, OverflowError, RecursionError) as error:
        raise MeaningError(f"{text[:60]!r} is no regular expression: {error}") from error


def _found(match: re.Match[str]) -> Value:
    names = match.groupdict()
    if names:
        return dict(names)
    return list(match.groups()) if match.groups() else match[0]


def _regex(expression: str, text: str) -> Value:
    match = pattern(expression).search(text)
    if match is None:
        raise MeaningError(f"{expression[:60]!r} is not in the text")
    return _found(match)


def _regex_all(expression: str, text: str) -> Value:
    return [_found(match) for match in pattern(expression).finditer(text)]


def _regex_replaced(text: str, expression: str, new: str) -> str:
    """With `$1`, `${1}` and `${name}` in `new` for what the groups found."""

    def filled(match: re.Match[str]) -> str:
        def group(reference: re.Match[str]) -> str:
            if reference[0] == "$$":
                return "$"
            name = reference[1] or reference[2]
            try:
                return match[int(name) if name.isdigit() else name] or ""
            except IndexError:
                return ""

        return re.sub(r"\$\$|\$(?:(\w+)|\{(\w+)\})", group, new)

    return joined([pattern(expression).sub(filled, text)])


# --- names ---------------------------------------------------------------------------------------


def _basename(path: str) -> str:
    if not path:
        return "."
    return posixpath.basename(path.rstrip("/")) or "/"


def _sanitized(text: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_-]", "_", text)


def _compared_versions(version: str, constraint: str) -> bool:
    # lazy: few files compare versions
    from builder.bake.functions.versions import fits

    return fits(version, constraint)


FUNCTIONS: Mapping[str, Function] = {
    "basename": Function(_basename, (to_string,)),
    "chomp": Function(lambda text: text.rstrip("\r\n"), (to_string,)),
    "dirname": Function(lambda path: posixpath.normpath(posixpath.dirname(path)) or ".", (to_string,)),
    "format": Function(formatted, (to_string,), anything),
    "formatlist": Function(formatted_list, (to_string,), anything),
    "homedir": Function(lambda: os.path.expanduser("~")),  # noqa: PTH111 - a text is asked for
    "indent": Function(_indented, (whole, to_string)),
    "join": Function(_joined, (to_string, to_strings), to_strings),
    "lower": Function(str.lower, (to_string,)),
    "regex": Function(_regex, (to_string, to_string)),
    "regex_replace": Function(_regex_replaced, (to_string, to_string, to_string)),
    "regexall": Function(_regex_all, (to_string, to_string)),
    "replace": Function(_replaced, (to_string, to_string, to_string)),
    "reverse": Function(lambda text: "".join(reversed(characters(text))), (to_string,)),
    "sanitize": Function(_sanitized, (to_string,)),
    "semvercmp": Function(_compared_versions, (to_string, to_string)),
    "split": Function(_split, (to_string, to_string)),
    "strlen": Function(lambda text: len(characters(text)), (to_string,)),
    "substr": Function(_substr, (to_string, whole, whole)),
    "title": Function(_titled, (to_string,)),
    "trim": Function(lambda text, set_: text.strip(set_) if set_ else text, (to_string, to_string)),
    "trimprefix": Function(str.removeprefix, (to_string, to_string)),
    "trimspace": Function(str.strip, (to_string,)),
    "trimsuffix": Function(str.removesuffix, (to_string, to_string)),
    "upper": Function(str.upper, (to_string,)),
}
