"""The mounts and the security mode of a RUN, lowered: paths under WORKDIR, `from=` as a vertex, defaults filled in."""

from __future__ import annotations

import posixpath
from collections.abc import Callable

from builder.graph.state import StageState
from builder.graph.vertex import BindMount, CacheMount, RunMount, SecretMount, SshMount, TmpfsMount, VertexId
from builder.lang import ast
from builder.lang.mounts import MountError, MountText, parse

# What `from=` names: a vertex, or None and the name of a build context.
Source = Callable[[str], tuple[VertexId | None, str]]


def mounts(instruction: ast.Run, state: StageState, source: Source) -> tuple[RunMount, ...]:
    """The mounts of a RUN as it writes them. `source` says what a `from=` names.

    Raises BuildfileError with the place, and what `source` raises.
    """
    lowering = _Lowering(state, source)
    return tuple(lowering.mount(text, instruction) for text in instruction.mounts)


def agent_socket(shown: tuple[RunMount, ...]) -> str | None:
    """Where a RUN with these mounts finds the SSH agent: at the first one of its ssh mounts."""
    return next((mount.target for mount in shown if isinstance(mount, SshMount)), None)


class _Lowering:
    def __init__(self, state: StageState, source: Source) -> None:
        self.state, self.source = state, source
        self.agents = 0

    def mount(self, text: str, instruction: ast.Run) -> RunMount:
        try:
            written = parse(text, lambda value: self.state.word(value, instruction.span))
            return self._lowered(written)
        except MountError as error:
            raise self.state.wrong(error.message, instruction.span, near=error.near, hint=error.hint) from error

    def _lowered(self, written: MountText) -> RunMount:
        match written.type:
            case "secret":
                return self._secret(written)
            case "ssh":
                return self._ssh(written)
            case "tmpfs":
                return TmpfsMount(self._target(written), written.size)
            case "cache":
                return self._cache(written)
            case _:
                return self._bind(written)

    def _bind(self, written: MountText) -> BindMount:
        target = self._target(written)
        vertex, context = self.source(written.origin) if written.origin else (None, "")
        return BindMount(target, _inside(written.source), vertex, context, writable=not written.read_only)

    def _cache(self, written: MountText) -> CacheMount:
        target = self._target(written)
        vertex = self.source(written.origin)[0] if written.origin else None
        if written.origin and vertex is None:
            raise MountError(
                "a cache mount cannot begin as a build context",
                f"from={written.origin}",
                "copy the files into a stage first: FROM scratch AS files, then from=files",
            )
        return CacheMount(
            target,
            # The id of one that has none is its target as written, cleaned: not yet under WORKDIR (as in BuildKit).
            written.id or posixpath.normpath(written.target),
            written.sharing or "shared",
            written.read_only,
            0o755 if written.mode is None else written.mode & 0o7777,
            written.uid or 0,
            written.gid or 0,
            vertex,
            _inside(written.source),
        )

    def _secret(self, written: MountText) -> SecretMount:
        name = written.id or written.source or posixpath.basename(written.target)
        target = ""
        if written.target:
            target = self._target(written)
        elif written.env is None:
            target = f"/run/secrets/{posixpath.basename(name)}"
        if not name or target == "/run/secrets/":
            raise MountError("a secret mount needs an id", "type=secret", "for example type=secret,id=token")
        return SecretMount(
            name,
            target,
            written.env or "",
            written.required,
            0o400 if written.mode is None else written.mode & 0o7777,
            written.uid or 0,
            written.gid or 0,
        )

    def _ssh(self, written: MountText) -> SshMount:
        target = self._target(written) if written.target else f"/run/buildkit/ssh_agent.{self.agents}"
        self.agents += 1
        return SshMount(
            written.id or "default",
            target,
            written.required,
            0o600 if written.mode is None else written.mode & 0o777,
            written.uid or 0,
            written.gid or 0,
        )

    def _target(self, written: MountText) -> str:
        """The target, absolute and clean; without one, the working directory itself."""
        target = _absolute(posixpath.join(self.state.workdir, written.target))
        if target == "/":
            raise MountError(
                "a mount cannot be the root directory" if written.target else "a mount needs a target",
                written.target or f"type={written.type}",
                "write target=/some/path",
            )
        return target


def _absolute(path: str) -> str:
    return posixpath.normpath(f"/{path.lstrip('/')}")


def _inside(source: str) -> str:
    """`source` as a path relative to the root of where it comes from; empty for the root itself."""
    return _absolute(source).lstrip("/")
