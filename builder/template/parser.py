"""Tokens as a tree of nodes."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from builder.errors import ALIKE, UsageError, suggestion
from builder.template.lexer import Token, tokens, wrong
from builder.template.nodes import (
    Command,
    Dot,
    Field,
    If,
    Leave,
    Literal,
    Name,
    Node,
    Operand,
    Pipeline,
    Range,
    Show,
    Text,
    Variable,
)

_BLOCKS = ("if", "with", "range")
_WORDS = (*_BLOCKS, "else", "end", "break", "continue")
# What Go has beside, for templates of several files.
_MISSING = ("define", "template", "block")
_CONSTANTS = {"true": True, "false": False, "nil": None}
# Of parentheses and blocks within each other: nobody writes so many, and each takes a part of the stack.
_DEEPEST = 60
# What Go knows behind a backslash; Python knows more.
_GOOD = re.compile(
    r"(?:[^\\]|\\(?:[abfnrtv\\'\"]|[0-7]{3}|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}))*", re.DOTALL
)


def parse(source: str, functions: Collection[str]) -> tuple[Node, ...]:
    """The nodes of a template that may call `functions`. Raises UsageError with the place."""
    parser = _Parser(source, functions)
    nodes, _ = parser.body(())
    return nodes


class _Parser:
    def __init__(self, source: str, functions: Collection[str]) -> None:
        self.source, self.functions = source, functions
        self.tokens = tokens(source)
        self.next = 0
        self.depth = self.loops = 0
        self.scopes: list[set[str]] = [{"$"}]

    # --- tokens ---

    def peek(self) -> Token:
        return self.tokens[self.next]

    def take(self) -> Token:
        token = self.tokens[self.next]
        self.next += 1
        return token

    def spaces(self) -> None:
        while self.peek().kind == "space":
            self.next += 1

    def wrong(self, token: Token, message: str, hint: str | None = None) -> UsageError:
        return wrong(self.source, token.at, message, width=max(1, len(token.text)), hint=hint)

    @contextmanager
    def within(self, token: Token) -> Iterator[None]:
        """One level deeper, whose variables end with it."""
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self.wrong(token, f"more than {_DEEPEST} levels within each other")
        self.scopes.append(set())
        yield
        self.scopes.pop()
        self.depth -= 1

    # --- what stands between actions ---

    def body(self, ends: tuple[str, ...]) -> tuple[tuple[Node, ...], Token]:
        """Nodes until the action that one of `ends` begins, whose word is given too; without `ends`, all."""
        found: list[Node] = []
        while True:
            token = self.take()
            if token.kind == "text":
                found.append(Text(_unescaped(token.text)))
                continue
            if token.kind == "end":
                if ends:
                    raise self.wrong(token, "{{end}} is missing")
                return tuple(found), token
            self.spaces()
            word = self.peek()
            if word.kind != "name" or word.text not in (*_WORDS, *_MISSING):
                found.append(Show(self.closed_pipeline()))
                continue
            self.take()
            if word.text in ends:
                return tuple(found), word
            found.append(self.keyword(word))

    def keyword(self, word: Token) -> Node:
        if word.text in _MISSING:
            raise self.wrong(word, f"{{{{{word.text}}}}} is not there: a template after --format is one piece")
        if word.text in ("else", "end"):
            raise self.wrong(word, f"{{{{{word.text}}}}} belongs to no if, range or with")
        if word.text in ("break", "continue"):
            if not self.loops:
                raise self.wrong(word, f"{{{{{word.text}}}}} stands in no range")
            self.close()
            return Leave(word.text == "continue")
        return self.block(word)

    def block(self, word: Token) -> Node:
        """`if`, `with` or `range` with all up to its end."""
        with self.within(word):
            self.spaces()
            pipeline = self.closed_pipeline(most=2 if word.text == "range" else 1)
            self.loops += word.text == "range"
            with self.within(word):
                then, last = self.body(("else", "end"))
            self.loops -= word.text == "range"
            otherwise: tuple[Node, ...] = ()
            if last.text == "else":
                otherwise = self.otherwise(word)
            else:
                self.close()
        if word.text == "range":
            return Range(pipeline, then, otherwise)
        return If(pipeline, then, otherwise, enters=word.text == "with")

    def otherwise(self, opened: Token) -> tuple[Node, ...]:
        self.spaces()
        word = self.peek()
        if word.kind == "name" and word.text == opened.text and word.text != "range":
            self.take()
            return (self.block(word),)  # `{{else if}}`: one {{end}} ends both
        self.close()
        with self.within(opened):
            nodes, _ = self.body(("end",))
        self.close()
        return nodes

    def close(self) -> None:
        self.spaces()
        token = self.take()
        if token.kind != "close":
            raise self.wrong(token, "}} is expected here")

    # --- pipelines ---

    def closed_pipeline(self, most: int = 1) -> Pipeline:
        found = self.pipeline(most)
        self.close()
        return found

    def pipeline(self, most: int) -> Pipeline:
        """Up to what ends it, which stays; `most` variables may be set by it."""
        at = self.peek().at
        names, declares = self.assigned(most)
        commands = [self.command()]
        while self.peek().kind == "sign" and self.peek().text == "|":
            self.take()
            self.spaces()
            commands.append(self.command())
        for command in commands[1:]:
            if not isinstance(command.words[0], Name | Field | Variable | Pipeline):
                raise wrong(self.source, command.at, "only a function is handed what stands before |")
        if declares:
            self.scopes[-1].update(names)
        return Pipeline(at, tuple(commands), names, declares)

    def assigned(self, most: int) -> tuple[tuple[str, ...], bool]:
        """The variables before `:=` or `=`, if that is how it begins."""
        mark, names = self.next, []
        while self.peek().kind == "variable":
            names.append(self.take())
            self.spaces()
            sign = self.take()
            if sign.kind == "sign" and sign.text in (":=", "="):
                self.spaces()
                if len(names) > most:
                    raise self.wrong(names[most], "too many variables")
                for name in names if sign.text == "=" else ():
                    self.known(name)
                return tuple(name.text for name in names), sign.text == ":="
            if sign.kind != "sign" or sign.text != ",":
                break
            self.spaces()
        self.next = mark
        return (), False

    def command(self) -> Command:
        first = self.peek()
        words: list[Operand] = []
        while self.peek().kind not in ("close", "end") and self.peek().text not in (")", "|"):
            words.append(self.operand())
            after = self.peek()
            if after.kind == "space":
                self.spaces()
            elif after.kind != "close" and after.text not in (")", "|"):
                raise self.wrong(after, f"{after.text!r} is not understood here")
        if not words:
            what = "a value is missing before this" if first.kind != "end" else "}} is missing"
            raise self.wrong(first, what)
        if len(words) > 1 and isinstance(words[0], Literal | Dot):
            raise wrong(self.source, words[0].at, "this is no function: it cannot be handed anything")
        return Command(first.at, tuple(words))

    def operand(self) -> Operand:
        """One value with the fields after it."""
        token = self.peek()
        found: Operand = Dot(token.at) if token.kind == "field" else self.term(self.take())
        while self.peek().kind == "field":
            field = self.take()
            if isinstance(found, Literal):
                raise self.wrong(field, "a constant has no fields")
            found = Field(field.at, found, field.text[1:])
        return found

    def term(self, token: Token) -> Operand:
        if token.kind == "dot":
            return Dot(token.at)
        if token.kind == "variable":
            self.known(token)
            return Variable(token.at, token.text)
        if token.kind == "name":
            return self.named(token)
        if token.text == "(":
            with self.within(token):
                self.spaces()
                found = self.pipeline(most=0)
                closing = self.take()
                if closing.text != ")":
                    raise self.wrong(token, "this parenthesis is not closed")
            return found
        if token.kind in ("string", "raw", "char", "number"):
            return Literal(token.at, self.constant(token))
        raise self.wrong(token, f"{token.text!r} is not understood here")

    def named(self, token: Token) -> Operand:
        if token.text in _CONSTANTS:
            return Literal(token.at, _CONSTANTS[token.text])
        if token.text not in self.functions:
            hint = suggestion(token.text, sorted(self.functions), least=ALIKE)
            raise self.wrong(token, f"there is no function {token.text}", hint)
        return Name(token.at, token.text)

    def known(self, token: Token) -> None:
        if not any(token.text in scope for scope in self.scopes):
            raise self.wrong(token, f"there is no variable {token.text}")

    def constant(self, token: Token) -> object:
        text = token.text
        if token.kind == "raw":
            return text[1:-1]
        try:
            if not _GOOD.fullmatch(text):
                raise ValueError
            value: object = ast.literal_eval(text if token.kind != "number" else _python_number(text))
        except (ValueError, SyntaxError, OverflowError):
            raise self.wrong(token, f"{text} is no {token.kind}") from None
        if token.kind == "char":
            if not isinstance(value, str) or len(value) != 1:
                raise self.wrong(token, f"{text} is not one character")
            return ord(value)
        return value


def _python_number(text: str) -> str:
    """Python has no leading zeros, by which Go marks octal numbers."""
    digits = text.lstrip("+-")
    if len(digits) > 1 and digits[0] == "0" and digits.replace("_", "").isdigit():
        return text[: len(text) - len(digits)] + "0o" + digits[1:].lstrip("_")
    return text


def _unescaped(text: str) -> str:
    r"""As Docker: what a shell leaves as `\t` and `\n` outside of actions is a tab and a new line."""
    return text.replace("\\t", "\t").replace("\\n", "\n")
