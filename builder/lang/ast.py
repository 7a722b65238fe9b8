"""The syntax tree: one frozen struct per instruction, each with its span. No meaning here.

Words are kept as written: quotes, escapes and `${…}` included; `lang.words` reads them when the
graph is lowered and the environment is known. The structs are msgspec's because the tree is
also a document: `pybuild parse --format json` prints it and `sources.buildfile` keeps it. Annotations are not
strings here: msgspec would evaluate each of them when a remembered tree is read.
"""

import re

from msgspec import Struct

from builder.lang.source import Span


class Node(Struct, frozen=True, tag_field="node", omit_defaults=True):
    """Anything of the tree."""


class ShellForm(Node, frozen=True, tag="shell"):
    """`RUN make && make install`: text for SHELL, continuation lines joined, not expanded."""

    text: str


class ExecForm(Node, frozen=True, tag="exec"):
    """`["a", "b"]`: the words themselves."""

    argv: tuple[str, ...]


Command = ShellForm | ExecForm


class Heredoc(Node, frozen=True, tag="heredoc"):
    """One `<<NAME … NAME`. `body` is as written; `expand` is False when the delimiter was quoted."""

    name: str
    body: str
    expand: bool = True
    strip_tabs: bool = False

    @property
    def content(self) -> str:
        """The body without the leading tabs that `<<-` takes away."""
        return re.sub(r"^\t+", "", self.body, flags=re.MULTILINE) if self.strip_tabs else self.body


class Pair(Node, frozen=True, tag="pair"):
    """`key=value` of ENV, LABEL, ARG; `value` None only for `ARG name`."""

    key: str
    value: str | None = None


class Written(Node, frozen=True, kw_only=True):
    """How an instruction is written, which only linting and descriptions ask for.

    `keyword` is empty when it is in upper case. `comments` are the comment lines right above, without their `#`.
    `blank` is the line on which a continued instruction with an empty line inside ends (before its heredocs), or 0.
    """

    keyword: str = ""
    comments: tuple[str, ...] = ()
    blank: int = 0


class Instruction(Written, frozen=True):
    """Base of all instructions. `span` covers the instruction, heredoc bodies included."""

    span: Span

    @property
    def written(self) -> str:
        """The keyword as it is written."""
        return self.keyword or str(self.__struct_config__.tag)


class From(Instruction, frozen=True, tag="FROM"):
    """`FROM [--platform=P] image [AS name]`. `as_` is the word AS where it is not in upper case."""

    image: str
    platform: str | None = None
    name: str | None = None
    as_: str = ""


class Run(Instruction, frozen=True, tag="RUN"):
    """`RUN [flags] command`. With heredocs, `command` is the text of the first line.

    `mounts` are the raw values of `--mount=`, in order.
    """

    command: Command
    heredocs: tuple[Heredoc, ...] = ()
    mounts: tuple[str, ...] = ()
    network: str | None = None
    security: str | None = None
    retry: str | None = None
    timeout: str | None = None
    cache: str | None = None


class Copy(Instruction, frozen=True, tag="COPY"):
    """`COPY [flags] source… destination`. A heredoc source stands in `heredocs`, not in `sources`."""

    sources: tuple[str, ...]
    destination: str
    heredocs: tuple[Heredoc, ...] = ()
    from_: str | None = None
    chown: str | None = None
    chmod: str | None = None
    link: bool = False
    parents: bool = False
    exclude: tuple[str, ...] = ()


class Add(Instruction, frozen=True, tag="ADD"):
    """`ADD [flags] source… destination`."""

    sources: tuple[str, ...]
    destination: str
    heredocs: tuple[Heredoc, ...] = ()
    chown: str | None = None
    chmod: str | None = None
    link: bool = False
    exclude: tuple[str, ...] = ()
    checksum: str | None = None
    keep_git_dir: bool = False
    unpack: bool | None = None


class Env(Instruction, frozen=True, tag="ENV"):
    """`ENV k=v …`, or the old `ENV k v` (one pair, `legacy`)."""

    pairs: tuple[Pair, ...]
    legacy: bool = False


class Arg(Instruction, frozen=True, tag="ARG"):
    """`ARG name[=default] …`."""

    pairs: tuple[Pair, ...]


class Label(Instruction, frozen=True, tag="LABEL"):
    """`LABEL k=v …`, or the old `LABEL k v`."""

    pairs: tuple[Pair, ...]
    legacy: bool = False


class Workdir(Instruction, frozen=True, tag="WORKDIR"):
    """`WORKDIR path`."""

    path: str


class User(Instruction, frozen=True, tag="USER"):
    """`USER user[:group]`."""

    user: str


class Cmd(Instruction, frozen=True, tag="CMD"):
    """`CMD command`."""

    command: Command


class Entrypoint(Instruction, frozen=True, tag="ENTRYPOINT"):
    """`ENTRYPOINT command`."""

    command: Command


class Expose(Instruction, frozen=True, tag="EXPOSE"):
    """`EXPOSE port[-port][/protocol] …`."""

    ports: tuple[str, ...]


class Volume(Instruction, frozen=True, tag="VOLUME"):
    """`VOLUME path …`."""

    paths: tuple[str, ...]


class StopSignal(Instruction, frozen=True, tag="STOPSIGNAL"):
    """`STOPSIGNAL signal`."""

    signal: str


class Healthcheck(Instruction, frozen=True, tag="HEALTHCHECK"):
    """`HEALTHCHECK [flags] CMD command`; `command` None is `HEALTHCHECK NONE`. Durations as written."""

    command: Command | None = None
    interval: str | None = None
    timeout: str | None = None
    start_period: str | None = None
    start_interval: str | None = None
    retries: str | None = None


class Shell(Instruction, frozen=True, tag="SHELL"):
    """`SHELL ["program", "arg"]`."""

    argv: tuple[str, ...]


class OnBuild(Instruction, frozen=True, tag="ONBUILD"):
    """`ONBUILD instruction`: `text` is what the image's config stores."""

    text: str


class Maintainer(Instruction, frozen=True, tag="MAINTAINER"):
    """`MAINTAINER name` (deprecated)."""

    name: str


AnyInstruction = (
    From
    | Run
    | Copy
    | Add
    | Env
    | Arg
    | Label
    | Workdir
    | User
    | Cmd
    | Entrypoint
    | Expose
    | Volume
    | StopSignal
    | Healthcheck
    | Shell
    | OnBuild
    | Maintainer
)


class Buildfile(Node, frozen=True, tag="buildfile"):
    """A whole file. `escape` is the escape character; `syntax` and `check` the directives' values."""

    instructions: tuple[AnyInstruction, ...]
    escape: str = "\\"
    syntax: str | None = None
    check: str | None = None
