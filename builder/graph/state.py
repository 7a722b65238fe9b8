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


class Room(Struct):
    """How much more the histories and environments of all stages may take, in characters.

    Every RUN has its own environment and shows its arguments in the history, so both can grow with the square of
    the file; what does not fit in here is no image that anything reads.
    """

    left: int = 16 << 20


# What one variable of a step's environment, or one entry handed on to a stage above, takes of a `Room`.
ENTRY_SIZE = 16
# What an entry of the history takes besides its text: its other fields, and the step it stands for.
HISTORY_SIZE = 100


class StageState(Struct):
    """A stage so far: its top vertex, its config, its variables.

    What grows with every line (environment, history, labels, ports, volumes, triggers) lives in fields of its own,
    and is put into the config by `finished`. `cmd_set` remembers that this file, not the base, set CMD. `epoch` is
    SOURCE_DATE_EPOCH, the time of its history, in seconds. `line` is where we are; `lines` is, of each entry of the
    history, where it came from.
    """

    source: Source
    escape: str
    top: VertexId
    config: ImageConfig
    scope: Scope
    history: list[History] = field(default_factory=list)
    line: int = 0
    lines: list[int] = field(default_factory=list)
    cmd_set: bool = False
    epoch: int | None = None
    room: Room = field(default_factory=Room)
    labels: dict[str, str] = field(default_factory=dict)
    ports: set[str] = field(default_factory=set)
    volumes: set[str] = field(default_factory=set)
    triggers: list[str] = field(default_factory=list)
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

    def take(self, amount: int, span: Span) -> None:
        """Take `amount` of the room there is. Raises BuildfileError when none is left."""
        self.room.left -= amount
        if self.room.left < 0:
            raise self.wrong("the history and the environments of all steps grow too large here", span)

    def record(self, created_by: str, *, layer: bool = False) -> None:
        """Add a history entry."""
        created = None if self.epoch is None else timestamp(self.epoch)
        self.history.append(History(created_by, created, COMMENT, empty_layer=not layer))
        self.lines.append(self.line)
        self.room.left -= HISTORY_SIZE + len(created_by)

    def set(self, **changes: object) -> None:
        """Replace fields of the config."""
        self.config = replace(self.config, **changes)

    def finished(self) -> ImageConfig:
        """The config with everything in place."""
        config = self.config
        return replace(
            config,
            env=tuple(self.scope.env.items()),
            history=(*config.history, *self.history),
            labels=tuple((dict(config.labels) | self.labels).items()),
            exposed_ports=tuple(sorted({*config.exposed_ports, *self.ports})) if self.ports else config.exposed_ports,
            volumes=tuple(sorted({*config.volumes, *self.volumes})) if self.volumes else config.volumes,
            on_build=(*config.on_build, *self.triggers),
        )

    def child(self) -> StageState:
        """What a stage built FROM this one begins as."""
        self.room.left -= ENTRY_SIZE * (len(self.scope.visible) + len(self.history))
        config = replace(self.finished(), history=self.config.history)
        return replace(
            self,
            config=config,
            scope=self.scope.child(),
            history=list(self.history),
            lines=list(self.lines),
            cmd_set=False,
            labels={},
            ports=set(),
            volumes=set(),
            triggers=[],
        )


def narrowed(source: Source, span: Span, near: str | None) -> Span:
    """The part of `span` where the text `near` stands; `span` itself when it is not found."""
    if near:
        for number in range(span.line, span.end_line + 1):
            column = source.line(number).find(near)
            if column >= 0:
                return Span(number, column + 1, number, column + 1 + len(near))
    return span
