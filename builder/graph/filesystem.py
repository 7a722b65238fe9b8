"""Instructions that make a layer: RUN, COPY, ADD, WORKDIR, lowered to their vertices."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable

from msgspec import Struct

from builder.graph.metadata import command_argv
from builder.graph.stages import Stage
from builder.graph.state import StageState
from builder.graph.vertex import Copy, InlineFile, Origin, Run, RunMount, VertexId, Workdir
from builder.lang import ast
from builder.lang.source import Span

_ONLY_HEREDOC = re.compile(r"\d*<<-?[^<\s]+\s*\Z")
_REMOTE = re.compile(r"(https?|ftp|git|ssh)://|git@", re.IGNORECASE)
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
    return Origin(namer.next(first), namer.stage.label, instruction.span.line)


def run(
    instruction: ast.Run,
    state: StageState,
    origin: Origin,
    default_network: str,
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
        proxy_env=tuple(sorted(scope.proxies().items())),
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


def copy(instruction: ast.Copy, source: VertexId | None, state: StageState, origin: Origin) -> tuple[Copy, str]:
    """The vertex of a COPY and its history line."""
    return _files(instruction, source, state, origin, unpack=False)


def add(instruction: ast.Add, state: StageState, namer: StepNamer) -> tuple[Copy, str]:
    """The vertex of an ADD and its history line."""
    _refuse(
        instruction,
        state,
        {
            "--checksum": instruction.checksum is not None,
            "--keep-git-dir": instruction.keep_git_dir,
        },
    )
    for raw in instruction.sources:
        if _REMOTE.match(state.word(raw, instruction.span)):
            raise state.wrong(
                "ADD does not fetch URLs or git repositories in this version",
                instruction.span,
                near=raw,
                hint="fetch it in a RUN, or before the build into the build context",
            )
    return _files(
        instruction, None, state, origin_of(instruction, state, namer), unpack=instruction.unpack is not False
    )


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
    if "" in sources:
        raise state.wrong("a source is empty once its variables are filled in", span)
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
        mtime=state.epoch,
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
    written = state.word(instruction.path, instruction.span)
    path = posixpath.normpath("/" + posixpath.join(state.workdir, written)).replace("//", "/")
    state.set(working_dir=path)
    origin = origin_of(instruction, state, namer)
    if path == "/":
        return None, "WORKDIR /"
    return Workdir(state.top, path, state.config.user, state.epoch, origin), f"WORKDIR {path}"


def _refuse(instruction: ast.Run | ast.Copy | ast.Add, state: StageState, used: dict[str, bool]) -> None:
    for flag, present in used.items():
        if present:
            raise state.wrong(f"{flag} is not supported in this version", instruction.span, near=flag)
