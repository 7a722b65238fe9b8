"""HCL's text as tokens. Not a regular language: templates hold expressions, which hold templates.

Newlines count between the settings of a body and of an object, and nowhere else: which of the two they do is known
here, so that the grammar need not ask. `for`, `in` and `if` are words of their own only where an expression or a
template says `for` or `if`; elsewhere they are names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from builder.errors import BuildfileError
from builder.lang.source import Source, Span

# Operators and brackets by what the grammar calls them. Longer ones first.
PUNCTUATION = {
    "...": "ELLIPSIS",
    "==": "EQUALITY",
    "!=": "EQUALITY",
    "<=": "COMPARISON",
    ">=": "COMPARISON",
    "&&": "AND",
    "||": "OR",
    "=>": "_ARROW",
    "{": "LBRACE",
    "}": "RBRACE",
    "(": "_LPAR",
    ")": "_RPAR",
    "[": "LSQB",
    "]": "RSQB",
    ",": "_COMMA",
    ".": "_DOT",
    ":": "_COLON",
    "?": "_QUESTION",
    "=": "_ASSIGN",
    "<": "COMPARISON",
    ">": "COMPARISON",
    "!": "NOT",
    "+": "SUM",
    "-": "MINUS",
    "*": "STAR",
    "/": "PRODUCT",
    "%": "PRODUCT",
}
_OPERATOR = re.compile("|".join(map(re.escape, PUNCTUATION)))
_NAME = re.compile(r"[^\W\d][\w-]*")
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_DIGITS = re.compile(r"\d+")
_BLANK = re.compile(r"[ \t\r]+|#[^\n]*|//[^\n]*|/\*.*?\*/", re.DOTALL)
_FOR = re.compile(r"(?:\s|#[^\n]*\n|//[^\n]*\n|/\*.*?\*/)*for\b(?!-)", re.DOTALL)
_HEREDOC = re.compile(r"<<(-?)([^\W\d][\w-]*)\r?\n")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
_CONTROLS = {"if": "IF", "else": "ELSE", "endif": "ENDIF", "for": "FOR", "endfor": "ENDFOR"}
# What UTF-16 makes characters of, in pairs: none by itself.
_HALVES = range(0xD800, 0xE000)
_CLOSES = {"}": "{", ")": "(", "]": "["}
# Bodies, brackets and templates one inside another. The deepest that people write has ten.
_DEEPEST = 100


class Token(Struct, frozen=True):
    """`kind` as the grammar calls it, what it says (of text, with its escapes undone), and where it stands."""

    kind: str
    text: str
    start: int
    end: int


def tokens(source: Source) -> Iterator[Token]:
    """The tokens of a file. Raises BuildfileError."""
    yield from _Lexer(source).code(in_template=False)


def template(source: Source, start: int, end: int) -> Iterator[Token]:
    """The tokens of the template that lies between these places, as one in quotation marks, without escapes in it."""
    yield Token("QUOTE", "", start, start)
    yield from _Lexer(source, start, end).heredoc_body(flush=False)
    yield Token("UNQUOTE", "", end, end)


class Places:
    """Places in a text as lines and columns."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def span(self, start: int, end: int) -> Span:
        """The span from `start` to `end`, which are offsets."""
        return Span(*self._place(start), *self._place(end))

    def _place(self, offset: int) -> tuple[int, int]:
        # lazy: only bake files need it
        from bisect import bisect_right

        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1


class _Lexer:
    def __init__(self, source: Source, start: int = 0, end: int | None = None) -> None:
        self.source, self.text = source, source.text
        self.at, self.end = start, len(source.text) if end is None else end
        self._depth = 0

    def error(self, message: str, start: int, end: int | None = None, hint: str | None = None) -> BuildfileError:
        span = Places(self.text).span(start, max(start + 1, end or 0))
        return BuildfileError(message, where=self.source.where(span), hint=hint)

    def code(self, *, in_template: bool, keyword: bool = False) -> Iterator[Token]:
        """Tokens of expressions and bodies; in a template up to the brace that ends its part."""
        began, open_ = self.at, list[str]()
        self._deeper(began)
        before = ""
        while self.at < self.end:
            if blank := _BLANK.match(self.text, self.at, self.end):
                self.at = blank.end()
                continue
            character = self.text[self.at]
            if character == "\n":
                self.at += 1
                if (open_[-1] == "{" if open_ else not in_template) and before != "_NEWLINE":
                    before = "_NEWLINE"
                    yield Token(before, "\n", self.at - 1, self.at)
                continue
            if character == '"':
                yield from self._quoted()
                before = "UNQUOTE"
                continue
            if heredoc := _HEREDOC.match(self.text, self.at, self.end):
                yield from self._heredoc(heredoc)
                before = "UNQUOTE"
                continue
            if in_template and not open_ and self.text.startswith(("}", "~}"), self.at):
                size = 1 if character == "}" else 2
                self.at += size
                self._depth -= 1
                yield Token("_PART_END", self.text[self.at - size : self.at], self.at - size, self.at)
                return
            token = self._token(before, open_, keyword=keyword)
            keyword_next = keyword and before == ""
            before = token.kind
            self._brackets(token, open_)
            if keyword_next and token.kind not in _CONTROLS.values():
                raise self.error(
                    f"%{{ {token.text} }} is not known", token.start, token.end, "use if, else, endif, for or endfor"
                )
            yield token
        if in_template:
            raise self.error("this is not ended by a }", began - 2, began)
        self._depth -= 1

    def _deeper(self, start: int) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self.error("this is nested too deeply", start)

    def _token(self, before: str, open_: list[str], *, keyword: bool) -> Token:
        start = self.at
        number = (_DIGITS if before == "_DOT" else _NUMBER).match(self.text, start, self.end)
        if number:
            return self._made("NUMBER", number)
        name = _NAME.match(self.text, start, self.end)
        if name:
            return self._made(self._word(name[0], before, open_, keyword=keyword), name)
        operator = _OPERATOR.match(self.text, start, self.end)
        if operator:
            return self._made(PUNCTUATION[operator[0]], operator)
        raise self.error(f"{self.text[start]!r} does not belong here", start)

    def _made(self, kind: str, match: re.Match[str]) -> Token:
        self.at = match.end()
        return Token(kind, match[0], match.start(), match.end())

    def _word(self, name: str, before: str, open_: list[str], *, keyword: bool) -> str:
        if keyword and not before:
            return _CONTROLS.get(name, "NAME")
        if before == "_DOT":
            return "NAME"
        if open_ and open_[-1].endswith("for"):
            if name == "for" and before in ("LSQB", "LBRACE"):
                return "FOR"
            return {"in": "IN", "if": "IF"}.get(name, "NAME")
        return "IN" if keyword and not open_ and name == "in" else "NAME"

    def _brackets(self, token: Token, open_: list[str]) -> None:
        """Keep `open_`, the brackets that are open: those of a for expression end in `for`."""
        if token.kind in ("LBRACE", "LSQB", "_LPAR"):
            open_.append(token.text)
            self._deeper(token.start)
            if token.kind != "_LPAR" and _FOR.match(self.text, self.at, self.end):
                open_[-1] += "for"
        elif token.kind in ("RBRACE", "RSQB", "_RPAR") and open_:
            if open_[-1][0] != _CLOSES[token.text]:
                raise self.error(f"{token.text} does not close {open_[-1][0]}", token.start)
            open_.pop()
            self._depth -= 1

    # --- templates -----------------------------------------------------------------------------

    def _quoted(self) -> Iterator[Token]:
        start = self.at
        self.at += 1
        yield Token("QUOTE", '"', start, self.at)
        yield from _trimmed(self._parts(start, '"'))
        self.at += 1
        yield Token("UNQUOTE", '"', self.at - 1, self.at)

    def _heredoc(self, opening: re.Match[str]) -> Iterator[Token]:
        start = self.at
        closing = re.compile(rf"^[ \t]*{re.escape(opening[2])}(?=\r?$|\r?\n)", re.MULTILINE)
        found = closing.search(self.text, opening.end(), self.end)
        if found is None:
            raise self.error(f"this heredoc is not ended by a line {opening[2]}", start, opening.end(2))
        yield Token("QUOTE", opening[0], start, opening.end(2))
        inner = _Lexer(self.source, opening.end(), found.start())
        inner._depth = self._depth
        yield from inner.heredoc_body(flush=bool(opening[1]))
        self.at = found.end()
        yield Token("UNQUOTE", found[0], found.start(), found.end())

    def heredoc_body(self, *, flush: bool) -> Iterator[Token]:
        """The parts up to the end, with no escapes but `$${` and `%%{`; `flush`: without their common indentation."""
        parts = list(self._parts(self.at, ""))
        yield from _trimmed(iter(_flushed(parts) if flush else parts))

    def _parts(self, start: int, quote: str) -> Iterator[Token]:
        """The parts of a template: a text is cut after each newline. Ends before the quotation mark."""
        said, began = list[str](), self.at
        while True:
            if self.at >= self.end:
                if quote:
                    raise self.error("this string is not ended", start, hint=_LINES)
                break
            character = self.text[self.at]
            pair = self.text[self.at : min(self.at + 2, self.end)]
            if quote and character == quote:
                break
            if quote and character == "\n":
                raise self.error("this string is not ended", start, hint=_LINES)
            if self.text.startswith(("$${", "%%{"), self.at, self.end):
                said.append(self.text[self.at] + "{")
                self.at += 3
            elif pair in ("${", "%{"):
                if said:
                    yield Token("TEXT", "".join(said), began, self.at)
                yield from self._part(pair)
                said, began = [], self.at
            elif quote and character == "\\":
                said.append(self._escaped())
            else:
                said.append(character)
                self.at += 1
                if character == "\n":
                    yield Token("TEXT", "".join(said), began, self.at)
                    said, began = [], self.at
        if said:
            yield Token("TEXT", "".join(said), began, self.at)

    def _part(self, opening: str) -> Iterator[Token]:
        start = self.at
        self.at += 3 if self.text.startswith("~", start + 2, self.end) else 2
        kind = "_INTERPOLATION" if opening == "${" else "_CONTROL"
        yield Token(kind, self.text[start : self.at], start, self.at)
        yield from self.code(in_template=True, keyword=opening == "%{")

    def _escaped(self) -> str:
        start = self.at
        letter = self.text[start + 1 : start + 2]
        size = {"u": 4, "U": 8}.get(letter)
        if size is None:
            self.at += 2
            if letter in _ESCAPES:
                return _ESCAPES[letter]
            raise self.error(f"\\{letter} is no escape", start, start + 2, 'there are \\n, \\r, \\t, \\", \\\\ and \\u')
        digits = self.text[start + 2 : start + 2 + size]
        self.at += 2 + size
        if not re.fullmatch(rf"[0-9a-fA-F]{{{size}}}", digits) or int(digits, 16) > 0x10FFFF:
            raise self.error(f"\\{letter} needs {size} hexadecimal digits", start, self.at)
        if int(digits, 16) in _HALVES:
            raise self.error("this is half of a character", start, self.at, "write it as \\U and eight digits")
        return chr(int(digits, 16))


_LINES = "a text of several lines is a heredoc: <<END"


def _trimmed(parts: Iterator[Token]) -> Iterator[Token]:
    """With the white space taken away before `${~` and after `~}`; what expressions hold is not looked at."""
    held: Token | None = None
    inside = 0
    trimming = False
    for part in parts:
        if part.kind == "TEXT" and not inside:
            text = part.text.lstrip() if trimming else part.text
            trimming = trimming and not text
            if held is not None:
                yield held
            held = replace(part, text=text)
            continue
        if part.kind in ("_INTERPOLATION", "_CONTROL"):
            if not inside and held is not None and part.text.endswith("~"):
                held = replace(held, text=held.text.rstrip())
            inside += 1
            trimming = False
        elif part.kind == "_PART_END":
            inside -= 1
            trimming = not inside and part.text.startswith("~")
        if held is not None:
            yield held
            held = None
        yield part
    if held is not None:
        yield held


def _flushed(parts: list[Token]) -> list[Token]:
    """The parts without the indentation that all lines share; blank lines do not count."""
    starts = list[int]()
    fewest: int | None = None
    new_line, inside = True, 0
    for number, part in enumerate(parts):
        inside += (part.kind in ("_INTERPOLATION", "_CONTROL")) - (part.kind == "_PART_END")
        if inside or part.kind == "_PART_END":
            if new_line and part.kind in ("_INTERPOLATION", "_CONTROL"):
                fewest = 0
            new_line = False
            continue
        bare = part.text.lstrip()
        if new_line and not (not bare and part.text.endswith("\n")):
            fewest = min(len(part.text) - len(bare), len(part.text) if fewest is None else fewest)
            starts.append(number)
        new_line = part.text.endswith("\n")
    return [replace(p, text=p.text[fewest or 0 :]) if n in starts else p for n, p in enumerate(parts)]
