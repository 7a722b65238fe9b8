"""A template's text as tokens: what stands between `{{` and `}}` in words, all else as it is."""

from __future__ import annotations

import re
from typing import NamedTuple

from builder.errors import UsageError, Where

# One word inside of an action. A field is a token of its own: the parser sees by spaces what belongs together.
_WORD = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    | (?P<string>"(?:[^"\\\n]|\\.)*")
    | (?P<raw>`[^`]*`)
    | (?P<char>'(?:[^'\\\n]|\\.)+')
    | (?P<number>[+-]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+
        |(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?))
    | (?P<field>\.[^\W\d]\w*)
    | (?P<dot>\.)
    | (?P<variable>\$\w*)
    | (?P<name>[^\W\d]\w*)
    | (?P<sign>:=|[=|(),])""",
    re.VERBOSE,
)
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_OPEN, _CLOSE = "{{", "}}"
_SPACE = " \t\r\n"


class Token(NamedTuple):
    """A piece of a template; `at` counts its characters from 0.

    `kind` is one of text, open, close, space, string, raw, char, number, field, dot, variable, name, sign, end.
    """

    kind: str
    text: str
    at: int


def tokens(source: str) -> list[Token]:
    """The tokens of a template, the last an `end`. Raises UsageError with the place."""
    found: list[Token] = []
    at, trim = 0, False
    while (begin := source.find(_OPEN, at)) >= 0:
        inner = begin + len(_OPEN)
        trims = source[inner : inner + 1] == "-" and source[inner + 1 : inner + 2] in (*_SPACE,)
        _text(found, source[at:begin], at, left=trim, right=trims)
        inner += 2 if trims else 0
        at, trim = _action(found, source, begin, inner)
    _text(found, source[at:], at, left=trim, right=False)
    found.append(Token("end", "", len(source)))
    return found


def _text(found: list[Token], text: str, at: int, *, left: bool, right: bool) -> None:
    text = text.lstrip(_SPACE) if left else text
    text = text.rstrip(_SPACE) if right else text
    if text:
        found.append(Token("text", text, at))


def _action(found: list[Token], source: str, begin: int, at: int) -> tuple[int, bool]:
    """The tokens of the action at `begin`, whose words begin at `at`; gives where it ends, and whether it trims."""
    comment = _COMMENT.match(source, at)
    if comment is not None:
        for mark in (_CLOSE, f" -{_CLOSE}"):
            if source.startswith(mark, comment.end()):
                return comment.end() + len(mark), len(mark) > len(_CLOSE)
        raise wrong(source, begin, "a comment ends right before }}")
    found.append(Token("open", _OPEN, begin))
    while True:
        for mark in (_CLOSE, f"-{_CLOSE}"):
            if source.startswith(mark, at) and (mark == _CLOSE or found[-1].kind == "space"):
                found.append(Token("close", mark, at))
                return at + len(mark), len(mark) > len(_CLOSE)
        word = _WORD.match(source, at)
        if word is None:
            raise _no_word(source, begin, at)
        found.append(Token(word.lastgroup or "", word[0], at))
        at = word.end()


def _no_word(source: str, begin: int, at: int) -> UsageError:
    if at >= len(source):
        return wrong(source, begin, "this action has no }}", width=2)
    if source[at] in "\"'`":
        return wrong(source, at, "this quoted string does not end")
    return wrong(source, at, f"{source[at]!r} is not understood here")


def wrong(source: str, at: int, message: str, *, width: int = 1, hint: str | None = None) -> UsageError:
    """What is wrong with a template at a character of it."""
    before = source[:at]
    line = before.count("\n") + 1
    column = at - (before.rfind("\n") + 1) + 1
    shown = source.split("\n")[line - 1]
    return UsageError(
        f"the template is wrong: {message}", where=Where("--format", line, column, shown, width), hint=hint
    )
