"""Instructions that make a layer: RUN, COPY, ADD, WORKDIR, lowered to their vertices."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from builder.errors import UsageError
from builder.graph.attempts import Attempts, FlagValueError, attempts
from builder.graph.metadata import command_argv
from builder.graph.remote import redacted, remote_source
from builder.graph.stages import Stage
from builder.graph.state import StageState
from builder.graph.vertex import (
    Copy,
    CopyFrom,
    GitTree,
    InlineFile,
    Origin,
    Run,
    RunMount,
    UrlFile,
    Vertex,
    VertexId,
    Workdir,
)
from builder.lang import ast
from builder.lang.patterns import escaped
from builder.lang.source import Span

_ONLY_HEREDOC = re.compile(r"\d*<<-?[^<\s]+\s*\Z")
NETWORKS = ("default", "host", "none")
SECURITY = ("sandbox", "insecure")


class StepNamer(Struct):
    """Gives each step the name shown to people: `[build 2/4] RUN make`. FROM is the first."""

    stage: Stage
    stages: int
    total: int
    number: int = 1

    def next(self, text: str) -> str:
        """The name of the next step of this stage."""
        self.number += 1
        label = f"{self.stage.label} " if self.stages > 1 else ""
        return f"[{label}{self.number}/{self.total}] {text}"


def origin_of(instruction: ast.Run | ast.Copy | ast.Add | ast.Workdir, state: StageState, namer: StepNamer) -> Origin:
    """Name, stage and line of an instruction; call it once, it counts."""
    first = state.source.line(instruction.span.line).strip()
    return Origin(namer.next(redacted(first)), namer.stage.label, instruction.span.line)


def run(
    instruction: ast.Run,
    state: StageState,
    origin: Origin,
    default_network: str,
    default_attempts: Attempts,
    hosts: tuple[tuple[str, str], ...],
    source: Callable[[str], tuple[VertexId | None, str]],
) -> tuple[Run, str]:
    """The vertex of a RUN and its history line. `source` says what a mount's `from=` names (see graph/mounts)."""
    network = _one_of(NETWORKS, "network", instruction.network or default_network, instruction, state)
    security = _one_of(SECURITY, "security", instruction.security or "sandbox", instruction, state)
    argv, scripts = _command(instruction, state)
    env = dict(state.scope.visible)
    shown: tuple[RunMount, ...] = ()
    if instruction.mounts:
        # lazy: few RUNs have mounts
        from builder.graph.mounts import agent_socket, mounts

        shown = mounts(instruction, state, source)
        agent = agent_socket(shown)
        if agent is not None:
            env.setdefault("SSH_AUTH_SOCK", agent)
    scope = state.scope
    declared = {name: scope.visible.get(name, "") for name in scope.args}
    vertex = Run(
        parent=state.top,
        argv=argv,
        env=tuple(sorted(env.items())),
        cwd=state.workdir,
        user=state.config.user,
        network=network,
        platform=state.config.platform,
        security=security,
        scripts=scripts,
        mounts=shown,
        hosts=hosts,
        proxy_env=tuple(sorted(scope.proxies().items())),
        attempts=_attempts(instruction, state, default_attempts),
        lifetime=None if instruction.cache is None else _lifetime(instruction, instruction.cache, state),
        shell=state.shell,
        arguments=scope.arguments(),
        origin=origin,
    )
    arguments = [f"|{len(declared)}", *(f"{k}={v}" for k, v in declared.items())] if declared else []
    return vertex, " ".join(["RUN", *arguments, *argv, "# buildkit"])


def _one_of(known: tuple[str, ...], flag: str, value: str, instruction: ast.Run, state: StageState) -> str:
    if value not in known:
        raise state.wrong(
            f"--{flag}={value} is not known", instruction.span, near=value, hint=f"use {', '.join(known)}"
        )
    return value


def _attempts(instruction: ast.Run, state: StageState, default: Attempts) -> Attempts:
    found = default
    for name in ("retry", "timeout"):
        value: str | None = getattr(instruction, name)
        try:
            found = attempts(value, None, found) if name == "retry" else attempts(None, value, found)
        except FlagValueError as error:
            raise state.wrong(
                f"--{name}: {error.message}", instruction.span, near=value or name, hint=error.hint
            ) from error
    return found


def _lifetime(instruction: ast.Run, text: str, state: StageState) -> int:
    # lazy: few RUNs have one
    from builder.graph.lifetime import lifetime

    try:
        return lifetime(text)
    except FlagValueError as error:
        raise state.wrong(f"--cache: {error.message}", instruction.span, near=text, hint=error.hint) from error


def _command(instruction: ast.Run, state: StageState) -> tuple[tuple[str, ...], tuple[InlineFile, ...]]:
    command, heredocs = instruction.command, instruction.heredocs
    if not heredocs or isinstance(command, ast.ExecForm):
        return command_argv(command, state), ()
    if _ONLY_HEREDOC.match(command.text):
        script = heredocs[0]
        if script.content.startswith("#!"):
            file = InlineFile(script.name, script.content.encode(errors="surrogateescape"))
            return (f"/dev/pipes/{script.name}",), (file,)
        return (*state.shell, script.content), ()
    # The shell reads these heredocs itself: hand it the text as it stood.
    full = command.text + "".join(f"\n{h.body}{h.name}" for h in heredocs)
    return (*state.shell, full), ()


def copy(
    instruction: ast.Copy, source: tuple[VertexId | None, str], state: StageState, origin: Origin
) -> tuple[Copy, str]:
    """The vertex of a COPY and its history line. `source` is a vertex, or None and the name of a build context."""
    for raw in instruction.sources:
        if _remote(raw, instruction, state, origin) is not None:
            raise state.wrong("COPY does not fetch URLs or git references", instruction.span, near=raw, hint="ADD does")
    vertex, shown = _files(instruction, source[0], state, origin, unpack=False)
    return replace(vertex, context=source[1]), shown


def add(instruction: ast.Add, state: StageState, origin: Origin, put: Callable[[Vertex], VertexId]) -> tuple[Copy, str]:
    """The vertex of an ADD and its history line. `put` takes a vertex for what is fetched into the graph."""
    vertex, shown = _files(instruction, None, state, origin, unpack=instruction.unpack is not False)
    fetched = [_remote(raw, instruction, state, origin) for raw in instruction.sources]
    if instruction.checksum is not None and (len(fetched) != 1 or fetched[0] is None):
        raise state.wrong("--checksum is for a single URL or git reference", instruction.span, near="--checksum")
    if not any(fetched):
        return vertex, shown
    parts: list[CopyFrom] = []
    for path, remote in zip(vertex.paths, fetched, strict=True):
        if remote is None:
            part = CopyFrom(None, (path,), vertex.unpack)
        elif isinstance(remote, UrlFile):
            part = CopyFrom(put(remote), (escaped(remote.name),), instruction.unpack is True)
        else:
            part = CopyFrom(put(remote), ("",))
        if remote is None and parts and parts[-1].source is None:
            parts[-1] = replace(part, paths=(*parts[-1].paths, path))
        else:
            parts.append(part)
    first, *also = parts
    whole = replace(vertex, source=first.source, paths=first.paths, unpack=first.unpack, also=tuple(also))
    return whole, redacted(shown)


def _remote(raw: str, instruction: ast.Copy | ast.Add, state: StageState, origin: Origin) -> UrlFile | GitTree | None:
    """The vertex of a source that is a URL or a git reference; None for a path."""
    span, text = instruction.span, state.word(raw, instruction.span)
    checksum, keep_git_dir = "", False
    if isinstance(instruction, ast.Add):
        checksum, keep_git_dir = state.word(instruction.checksum or "", span), instruction.keep_git_dir
    fetching = Origin(f"fetch {redacted(text)}", origin.stage, origin.line)
    try:
        return remote_source(text, fetching, checksum, keep_git_dir=keep_git_dir)
    except UsageError as error:
        raise state.wrong(error.message, span, near=raw, hint=error.hint) from error


def _files(
    instruction: ast.Copy | ast.Add,
    source: VertexId | None,
    state: StageState,
    origin: Origin,
    *,
    unpack: bool,
) -> tuple[Copy, str]:
    span = instruction.span
    sources = state.words(instruction.sources, span)
    written = state.word(instruction.destination, span)
    destination = _under(state.workdir, written)
    chown = state.word(instruction.chown or "", span)
    chmod = state.word(instruction.chmod or "", span)
    _check_mode(chmod, instruction, state)
    parents = isinstance(instruction, ast.Copy) and instruction.parents
    vertex = Copy(
        parent=state.top,
        source=source,
        paths=tuple(_pivoted(path) if parents else _clean(path) for path in sources),
        destination=destination,
        inline=tuple(_inline(h, state, span) for h in instruction.heredocs),
        chown=chown,
        chmod=chmod,
        unpack=unpack,
        exclude=state.words(instruction.exclude, span),
        parents=parents,
        # As in BuildKit, which cannot do both: the mode wins.
        link=instruction.link and not chmod,
        origin=origin,
    )
    flags = ["--parents"] * parents + [f"--chown={chown}"] * bool(chown) + [f"--chmod={chmod}"] * bool(chmod)
    heredocs = [f"<<{h.name}" for h in instruction.heredocs]
    keyword = "ADD" if isinstance(instruction, ast.Add) else "COPY"
    return vertex, " ".join([keyword, *flags, *sources, *heredocs, written, "# buildkit"])


def _clean(path: str) -> str:
    """`path` below its root: `..` stops there, a leading slash means nothing."""
    return posixpath.normpath("/" + path).lstrip("/")


def _pivoted(path: str) -> str:
    """As `_clean`, on both sides of the first `/./`, which stays."""
    base, pivot, below = path.partition("/./")
    return f"{_clean(base)}/./{_clean(below)}" if pivot else _clean(path)


def _check_mode(chmod: str, instruction: ast.Copy | ast.Add, state: StageState) -> None:
    if not chmod:
        return
    # lazy: few copies have one
    from builder.lang.chmod import ModeChange

    try:
        ModeChange.parse(chmod)
    except ValueError:
        raise state.wrong(
            f"--chmod={chmod} is no mode",
            instruction.span,
            near=instruction.chmod,
            hint="octal digits up to 07777, or as in chmod(1): u=rwX,go=rX",
        ) from None


def _inline(heredoc: ast.Heredoc, state: StageState, span: Span) -> InlineFile:
    body = state.heredoc(heredoc.content, span) if heredoc.expand else heredoc.content
    return InlineFile(heredoc.name, body.encode(errors="surrogateescape"))


def _under(workdir: str, path: str) -> str:
    """`path` made absolute below `workdir`, its trailing slash kept (`.` has one by meaning)."""
    directory = path.endswith("/") or posixpath.basename(path) in ("", ".", "..")
    clean = posixpath.normpath("/" + posixpath.join(workdir, path)).replace("//", "/")
    return clean.rstrip("/") + "/" if directory else clean


def workdir(instruction: ast.Workdir, state: StageState, namer: StepNamer) -> tuple[Workdir | None, str]:
    """The vertex of a WORKDIR (None for `/`, which is always there) and its history line."""
    path = enter(instruction, state)
    origin = origin_of(instruction, state, namer)
    if path == "/":
        return None, "WORKDIR /"
    return Workdir(state.top, path, state.config.user, origin), f"WORKDIR {path}"


def enter(instruction: ast.Workdir, state: StageState) -> str:
    """The directory a WORKDIR names, absolute; it is the working directory from here on."""
    written = state.word(instruction.path, instruction.span)
    path = posixpath.normpath("/" + posixpath.join(state.workdir, written)).replace("//", "/")
    state.set(working_dir=path)
    return path
