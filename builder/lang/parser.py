"""Text to AST: the only importer of Lark.

Directives, continuations and heredoc bodies are lifted out first; then Lark reads each logical line
by the grammar, and its tree becomes an AST node.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from lark import Lark, Token, Tree, UnexpectedInput, UnexpectedToken
from msgspec.structs import replace

from builder.errors import BuildfileError, suggestion
from builder.lang import ast, directives, grammar
from builder.lang.flags import FlagError, FlagReader
from builder.lang.heredoc import parse_opening
from builder.lang.lines import LogicalLine, logical
from builder.lang.source import Source, Span

if TYPE_CHECKING:
    from lark.lexer import TerminalDef

_KEYWORD = re.compile(r"\S+")
USAGE = {
    "FROM": "FROM [--platform=PLATFORM] IMAGE [AS NAME]",
    "RUN": 'RUN COMMAND, or RUN ["program", "argument"]',
    "COPY": "COPY SOURCE… DESTINATION",
    "ADD": "ADD SOURCE… DESTINATION",
    "ENV": "ENV NAME=VALUE …",
    "ARG": "ARG NAME[=DEFAULT] …",
    "LABEL": "LABEL NAME=VALUE …",
    "WORKDIR": "WORKDIR PATH",
    "USER": "USER USER[:GROUP]",
    "CMD": 'CMD COMMAND, or CMD ["program", "argument"]',
    "ENTRYPOINT": 'ENTRYPOINT COMMAND, or ENTRYPOINT ["program", "argument"]',
    "EXPOSE": "EXPOSE PORT[/PROTOCOL] …",
    "VOLUME": "VOLUME PATH …",
    "STOPSIGNAL": "STOPSIGNAL SIGNAL",
    "HEALTHCHECK": "HEALTHCHECK [FLAGS] CMD COMMAND, or HEALTHCHECK NONE",
    "SHELL": 'SHELL ["program", "argument"], a JSON array',
    "ONBUILD": "ONBUILD INSTRUCTION",
    "MAINTAINER": "MAINTAINER NAME",
}
_NOT_IN_ONBUILD = frozenset({"ONBUILD", "FROM", "MAINTAINER"})


def parse(source: Source) -> ast.Buildfile:
    """The syntax tree of a Buildfile. Raises BuildfileError with the place."""
    text = source.text.removeprefix("\ufeff")
    lines = text.split("\n")
    clean = Source(source.name, text)
    header = directives.read(clean, lines)
    instructions = [
        _Reader(clean, line, header.escape).read() for line in logical(clean, lines, header.lines, header.escape)
    ]
    if not instructions:
        raise BuildfileError(
            f"{source.name} is empty",
            where=clean.where(Span(1, 1, 1, 2)),
            hint="begin it with FROM, for example FROM scratch",
        )
    return ast.Buildfile(tuple(instructions), header.escape, header.syntax, header.check)


def parse_instruction(text: str, name: str) -> ast.AnyInstruction:
    """One instruction that stands alone, as a trigger of a base image does; `name` names it in errors.

    Raises BuildfileError, also for what must not be triggered.
    """
    source = Source(name, text)
    only, *others = parse(source).instructions
    if others:
        raise BuildfileError("one instruction is expected, not several", where=source.where(others[0].span))
    if isinstance(only, ast.From | ast.OnBuild | ast.Maintainer):
        raise BuildfileError(f"{only.written} is not allowed in a trigger", where=source.where(only.span))
    return only


@cache
def _lark(escape: str) -> Lark:
    def use_backtick(terminal: TerminalDef) -> None:
        if terminal.name == "PAIR":
            terminal.pattern.value = terminal.pattern.value.replace("\\\\", "`")

    return Lark(
        (grammar.directory() / "instructions.lark").read_text(),
        parser="lalr",
        import_paths=[str(grammar.directory())],
        source_path=str(grammar.directory() / "instructions.lark"),
        edit_terminals=use_backtick if escape == "`" else None,
        propagate_positions=False,
    )


class _Reader:
    """Reads one logical line."""

    def __init__(self, source: Source, line: LogicalLine, escape: str) -> None:
        self.source, self.line, self.escape = source, line, escape
        match = _KEYWORD.match(line.text)
        self.written = match[0] if match else ""
        self.keyword = self.written.upper()
        self.flags = FlagReader(self.keyword)

    def read(self) -> ast.AnyInstruction:
        if self.keyword not in USAGE:
            raise self._unknown()
        try:
            tree = _lark(self.escape).parse(self.line.text)
        except UnexpectedInput as error:
            raise self._unexpected(error) from None
        rest = []
        for child in tree.children:
            if isinstance(child, Token) and child.type == "FLAG":
                self._flag(child)
            else:
                rest.append(child)
        make: Callable[[list[Any]], ast.AnyInstruction] = getattr(self, f"_{tree.data}")
        made, line = make(rest), self.line
        if self.written == self.keyword and not line.comments and not line.blank:
            return made
        keyword = "" if self.written == self.keyword else self.written
        return replace(made, keyword=keyword, comments=line.comments, blank=line.blank)

    # --- instructions --------------------------------------------------------------------------

    def _from(self, words: list[Token]) -> ast.From:
        name = str(words[2]) if len(words) > 1 else None
        if name is not None and not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", name):
            raise self._error(f"{name!r} cannot name a stage", words[2], "letters first, then letters, digits, - _ .")
        as_ = str(words[1]) if len(words) > 1 and words[1] != "AS" else ""
        return ast.From(self._span(), str(words[0]), self.flags.values.get("platform"), name, as_)

    def _run(self, children: list[Tree[Token]]) -> ast.Run:
        values, lists = self.flags.values, self.flags.lists
        command = self._command(children[0])
        if self.line.heredocs and isinstance(command, ast.ExecForm):
            raise self._error("a command in JSON form has no shell that could read a heredoc", None)
        return ast.Run(
            self._span(),
            command,
            self.line.heredocs,
            tuple(lists.get("mount", ())),
            values.get("network"),
            values.get("security"),
            values.get("retry"),
            values.get("timeout"),
            values.get("cache"),
        )

    def _copy(self, children: list[Tree[Token]]) -> ast.Copy:
        sources, destination = self._paths(children[0])
        values, lists, bools = self.flags.values, self.flags.lists, self.flags.bools
        return ast.Copy(
            self._span(),
            sources,
            destination,
            self.line.heredocs,
            values.get("from"),
            values.get("chown"),
            values.get("chmod"),
            bools.get("link", False),
            bools.get("parents", False),
            tuple(lists.get("exclude", ())),
        )

    def _add(self, children: list[Tree[Token]]) -> ast.Add:
        sources, destination = self._paths(children[0])
        values, lists, bools = self.flags.values, self.flags.lists, self.flags.bools
        return ast.Add(
            self._span(),
            sources,
            destination,
            self.line.heredocs,
            values.get("chown"),
            values.get("chmod"),
            bools.get("link", False),
            tuple(lists.get("exclude", ())),
            values.get("checksum"),
            bools.get("keep-git-dir", False),
            bools.get("unpack"),
        )

    def _env(self, children: list[Tree[Token]]) -> ast.Env:
        return ast.Env(self._span(), self._pairs(children[0]), children[0].data == "legacy_pair")

    def _label(self, children: list[Tree[Token]]) -> ast.Label:
        return ast.Label(self._span(), self._pairs(children[0]), children[0].data == "legacy_pair")

    def _arg(self, tokens: list[Token]) -> ast.Arg:
        return ast.Arg(self._span(), tuple(self._arg_pair(t) for t in tokens))

    def _workdir(self, tokens: list[Token]) -> ast.Workdir:
        return ast.Workdir(self._span(), str(tokens[0]))

    def _user(self, tokens: list[Token]) -> ast.User:
        return ast.User(self._span(), str(tokens[0]))

    def _cmd(self, children: list[Tree[Token]]) -> ast.Cmd:
        return ast.Cmd(self._span(), self._optional_command(children))

    def _entrypoint(self, children: list[Tree[Token]]) -> ast.Entrypoint:
        return ast.Entrypoint(self._span(), self._optional_command(children))

    def _expose(self, tokens: list[Token]) -> ast.Expose:
        return ast.Expose(self._span(), tuple(map(str, tokens)))

    def _volume(self, children: list[Tree[Token]]) -> ast.Volume:
        return ast.Volume(self._span(), self._words(children[0]))

    def _stopsignal(self, tokens: list[Token]) -> ast.StopSignal:
        return ast.StopSignal(self._span(), str(tokens[0]))

    def _healthcheck(self, children: list[Any]) -> ast.Healthcheck:
        values = self.flags.values
        command = None if isinstance(children[0], Token) else self._command(children[0])
        return ast.Healthcheck(
            self._span(),
            command,
            values.get("interval"),
            values.get("timeout"),
            values.get("start-period"),
            values.get("start-interval"),
            values.get("retries"),
        )

    def _shell(self, tokens: list[Token]) -> ast.Shell:
        argv = _strings(tokens[0])
        if not argv:
            raise self._error("SHELL needs at least one word", tokens[0])
        return ast.Shell(self._span(), argv)

    def _onbuild(self, tokens: list[Token]) -> ast.OnBuild:
        inner = str(tokens[0])
        keyword = inner.split(maxsplit=1)[0].upper()
        if keyword in _NOT_IN_ONBUILD:
            raise self._error(f"ONBUILD {keyword} is not allowed", tokens[0])
        shift = LogicalLine(
            inner,
            [(0, *self.line.position(tokens[0].start_pos or 0))],
            self.line.last_line,
            self.line.last_column,
            self.line.heredocs,
        )
        _Reader(self.source, shift, self.escape).read()
        bodies = "".join(f"\n{h.body}{h.name}" for h in self.line.heredocs)
        return ast.OnBuild(self._span(), inner + bodies)

    def _maintainer(self, tokens: list[Token]) -> ast.Maintainer:
        return ast.Maintainer(self._span(), str(tokens[0]))

    # --- parts ---------------------------------------------------------------------------------

    def _flag(self, token: Token) -> None:
        try:
            self.flags.take(str(token))
        except FlagError as error:
            raise self._error(error.message, token, error.hint) from None

    def _optional_command(self, children: list[Tree[Token]]) -> ast.Command:
        return self._command(children[0]) if children else ast.ExecForm(())

    def _command(self, tree: Tree[Token]) -> ast.Command:
        token = tree.children[0]
        assert isinstance(token, Token)
        if token.type == "JSON":
            return ast.ExecForm(_strings(token))
        self._refuse_array(token)
        return ast.ShellForm(str(token))

    def _refuse_array(self, token: Token) -> None:
        """An array that is JSON but not of strings is no shell form either."""
        if not token.startswith("["):
            return
        try:
            value = json.loads(token)
        except (ValueError, RecursionError):
            return
        if isinstance(value, list):
            raise self._error("only strings may stand in the JSON form", token)

    def _words(self, tree: Tree[Token]) -> tuple[str, ...]:
        first = tree.children[0]
        assert isinstance(first, Token)
        if first.type == "JSON":
            words = _strings(first)
            if not words:
                raise self._error(f"{self.keyword} needs arguments", first, f"write {USAGE[self.keyword]}")
            return words
        return tuple(str(token) for token in tree.children)

    def _paths(self, tree: Tree[Token]) -> tuple[tuple[str, ...], str]:
        words = self._words(tree)
        if len(words) < 2:
            raise self._error(
                f"{self.keyword} needs a source and a destination",
                None,
                f"write {USAGE[self.keyword]}",
            )
        sources = words[:-1]
        if self.line.heredocs:
            if parse_opening(words[-1]) is not None:
                raise self._error(f"a heredoc cannot be the destination of {self.keyword}", None)
            sources = tuple(w for w in sources if parse_opening(w) is None)
        return sources, words[-1]

    def _pairs(self, tree: Tree[Token]) -> tuple[ast.Pair, ...]:
        if tree.data == "legacy_pair":
            return (ast.Pair(str(tree.children[0]), str(tree.children[1])),)
        return tuple(self._pair(t) for t in tree.children if isinstance(t, Token))

    def _pair(self, token: Token) -> ast.Pair:
        key, _, value = _split_pair(str(token))
        if not key or key in ('""', "''"):
            raise self._error(f"{self.keyword} needs a name before the =", token)
        return ast.Pair(key, value)

    def _arg_pair(self, token: Token) -> ast.Pair:
        if token.type == "NAME":
            return ast.Pair(str(token))
        return self._pair(token)

    # --- errors --------------------------------------------------------------------------------

    def _span(self) -> Span:
        return self.line.span()

    def _error(self, message: str, token: Token | None, hint: str | None = None) -> BuildfileError:
        if token is None:
            span = self.line.span(0, len(self.line.text))
        else:
            start = token.start_pos or 0
            span = self.line.span(start, start + len(token))
        return BuildfileError(message, where=self.source.where(span), hint=hint)

    def _unknown(self) -> BuildfileError:
        written = self.written or "an empty line"
        span = self.line.span(0, len(written))
        return BuildfileError(
            f"unknown instruction: {written[:60]}",
            where=self.source.where(span),
            hint=suggestion(self.keyword, USAGE, "see docs/buildfile.md for the instructions"),
        )

    def _unexpected(self, error: UnexpectedInput) -> BuildfileError:
        offset = getattr(error, "pos_in_stream", None)
        ended = isinstance(error, UnexpectedToken) and error.token.type == "$END"
        offset = len(self.line.text) if ended or offset is None or offset < 0 else int(offset)
        usage = USAGE[self.keyword]
        if offset >= len(self.line.text):
            span = self.line.span(0, len(self.line.text))
            return BuildfileError(
                f"{self.keyword} needs more than this", where=self.source.where(span), hint=f"write {usage}"
            )
        word = self.line.text[offset:].split(maxsplit=1)[0]
        span = self.line.span(offset, offset + len(word))
        return BuildfileError(
            f"{self.keyword} cannot take {word[:60]!r} here",
            where=self.source.where(span),
            hint=f"write {usage}",
        )


def _strings(array: str) -> tuple[str, ...]:
    """The words of a JSON array; what is no Unicode becomes U+FFFD, as in Go's encoding/json."""
    return tuple(re.sub("[\ud800-\udfff]", "\ufffd", word) for word in json.loads(array))


def _split_pair(text: str) -> tuple[str, str, str]:
    """Cut `key=value` at the first = outside quotes."""
    quote = ""
    for index, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char == "=":
            return text[:index], "=", text[index + 1 :]
    return text, "", ""
