"""What a stage is at one line while it is lowered, and the words it expands there."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field
from msgspec.structs import replace

from builder.errors import BuildfileError
from builder.graph.scope import Scope
from builder.graph.vertex import VertexId
from builder.image.config import History, ImageConfig, timestamp
from builder.lang.source import Source, Span
from builder.lang.words import WordError, expand, expand_heredoc

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
DEFAULT_SHELL = ("/bin/sh", "-c")
COMMENT = "buildkit.dockerfile.v0"


class StageState(Struct):
    """A stage so far: its top vertex, its config, its variables.

    `config.env` and `config.history` are only filled in by `finished`; until then they live in
    `scope.env` and `history`. `cmd_set` remembers that this file, not the base, set CMD. `epoch` is
    SOURCE_DATE_EPOCH, the time of all that is made, in seconds.
    """

    source: Source
    escape: str
    top: VertexId
    config: ImageConfig
    scope: Scope
    history: list[History] = field(default_factory=list)
    cmd_set: bool = False
    epoch: int | None = None
    steps: int = 1

    @property
    def shell(self) -> tuple[str, ...]:
        """The shell for shell forms here."""
        return self.config.shell or DEFAULT_SHELL

    @property
    def workdir(self) -> str:
        """The working directory here, absolute."""
        return self.config.working_dir or "/"

    def word(self, text: str, span: Span) -> str:
        """`text` expanded with the variables in effect. Raises BuildfileError at the word."""
        try:
            return expand(text, self.scope.visible, escape=self.escape)
        except WordError as error:
            raise self.wrong(error.message, span, near=text, hint=error.hint) from error

    def heredoc(self, body: str, span: Span) -> str:
        """A heredoc body with the variables in effect filled in."""
        try:
            return expand_heredoc(body, self.scope.visible)
        except WordError as error:
            raise self.wrong(error.message, span, hint=error.hint) from error

    def words(self, texts: Iterable[str], span: Span) -> tuple[str, ...]:
        """Each of `texts` expanded."""
        return tuple(self.word(text, span) for text in texts)

    def wrong(self, message: str, span: Span, *, near: str | None = None, hint: str | None = None) -> BuildfileError:
        """An error at `span`, narrowed to where `near` stands in its lines."""
        return BuildfileError(message, where=self.source.where(narrowed(self.source, span, near)), hint=hint)

    def record(self, created_by: str, *, layer: bool = False) -> None:
        """Add a history entry."""
        created = None if self.epoch is None else timestamp(self.epoch)
        self.history.append(History(created_by, created, COMMENT, empty_layer=not layer))

    def set(self, **changes: object) -> None:
        """Replace fields of the config."""
        self.config = replace(self.config, **changes)

    def finished(self) -> ImageConfig:
        """The config with its environment and history in place."""
        return replace(
            self.config,
            env=tuple(self.scope.env.items()),
            history=(*self.config.history, *self.history),
        )


def narrowed(source: Source, span: Span, near: str | None) -> Span:
    """The part of `span` where the text `near` stands; `span` itself when it is not found."""
    if near:
        for number in range(span.line, span.end_line + 1):
            column = source.line(number).find(near)
            if column >= 0:
                return Span(number, column + 1, number, column + 1 + len(near))
    return span
