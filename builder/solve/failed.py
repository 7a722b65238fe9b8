"""Steps that failed and are kept: what each was, as data without any secret, and where its files are.

    <root>/failed/<build>-<step>/failed.json    what it was and how it ended
                                 upper, work    its writable top as the command left it
                                 files-<n>      what its bind mounts showed of build contexts
                                 lock           held, shared, by all who use it
                                 top.lock       held by the one who writes to its top

One appears by rename, whole or not at all (workers/failed), and its name sorts by age.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import NotFoundError, UsageError
from builder.graph.vertex import Run, SecretMount, SshMount
from builder.image.descriptor import Layer
from builder.readied import readied
from builder.sandbox.spec import BindMount, FileMount, StepSpec, TmpfsMount
from builder.solve.worker import (
    AgentSocket,
    CacheDirectory,
    ContextMount,
    RunTask,
    StackMount,
    StepMount,
)
from builder.sources.secrets import Secrets
from builder.store.open import FAILED


class KeptFiles(Struct, frozen=True, tag=True):
    """What a bind mount showed of a build context, at `target`: kept as `files-<number>`."""

    target: str
    number: int
    writable: bool = False


class SecretUse(Struct, frozen=True):
    """A secret the step was given, as a file at `target`, in the variable `env`, or both; never its value."""

    id: str
    target: str = ""
    env: str = ""
    mode: int = 0o400
    uid: int = 0
    gid: int = 0


class AgentUse(Struct, frozen=True):
    """A socket of an SSH agent the step was given."""

    id: str
    target: str
    mode: int = 0o600
    uid: int = 0
    gid: int = 0


KeptMount = StackMount | CacheDirectory | TmpfsMount | KeptFiles


class FailedStep(Struct, frozen=True):
    """A step that failed. `spec` is what it ran as, without secrets and proxy variables; `shell` is SHELL there.

    `layers` are what it stood on, bottom first. `ended` in seconds since the epoch.
    """

    id: str
    build: str
    number: int
    name: str
    stage: str
    buildfile: str
    line: int
    spec: StepSpec
    mounts: tuple[KeptMount, ...]
    secrets: tuple[SecretUse, ...]
    agents: tuple[AgentUse, ...]
    layers: tuple[Layer, ...]
    shell: tuple[str, ...]
    status: int = 0
    timed_out: bool = False
    ended: float = 0.0

    def stacked(self) -> Iterator[Layer]:
        """Every layer that is needed to see what the step saw."""
        yield from self.layers
        for mount in self.mounts:
            if isinstance(mount, StackMount | CacheDirectory):
                yield from mount.layers or ()


def described(
    build: str, number: int, buildfile: str, vertex: Run, task: RunTask, layers: tuple[Layer, ...], secrets: Secrets
) -> FailedStep:
    """What would be kept of `vertex`, done as `task` on `layers`, if it failed."""
    given = [m for m in vertex.mounts if isinstance(m, SecretMount) and secrets.value(m.id) is not None]
    agents = [m for m in vertex.mounts if isinstance(m, SshMount) and secrets.agent(m.id) is not None]
    hidden = {name for name, _ in vertex.proxy_env} | {m.env for m in vertex.mounts if isinstance(m, SecretMount)}
    # A variable of the image's own stands where a secret or a proxy hid it.
    env = {name: value for name, value in task.spec.env if name not in hidden} | dict(vertex.env)
    origin = vertex.origin
    return FailedStep(
        id=f"{build}-{number}",
        build=build,
        number=number,
        name=origin.name,
        stage=origin.stage,
        buildfile=buildfile,
        line=origin.line,
        spec=replace(task.spec, env=tuple(sorted(env.items())), timeout=0),
        mounts=tuple(_kept(task)),
        secrets=tuple(SecretUse(m.id, m.target, m.env, m.mode, m.uid, m.gid) for m in given),
        agents=tuple(AgentUse(m.id, m.target, m.mode, m.uid, m.gid) for m in agents),
        layers=layers,
        shell=vertex.shell,
    )


def _kept(task: RunTask) -> Iterator[KeptMount]:
    """The mounts of a step, but for secrets (FileMount) and agents, which are asked for again."""
    for number, mount in enumerate(task.mounts):
        match mount:
            case ContextMount(target=target, writable=writable):
                yield KeptFiles(target, number, writable)
            case StackMount() | CacheDirectory() | TmpfsMount():
                yield mount
            case FileMount() | AgentSocket() | BindMount():
                continue


def reopened(
    step: FailedStep, directory: str, secrets: Secrets
) -> tuple[StepSpec, tuple[StepMount, ...], tuple[str, ...]]:
    """What a shell in `step`, kept in `directory`, runs as; its mounts; the options that would give what is missing.

    Raises NotFoundError and BadInputError for a secret that cannot be read.
    """
    variables, mounts, missing = dict(step.spec.env), [_mount(mount, directory) for mount in step.mounts], []
    for use in step.secrets:
        value = secrets.value(use.id)
        if value is None:
            missing.append(f"--secret id={use.id}")
            continue
        if use.env:
            variables[use.env] = value.decode(errors="surrogateescape")
        if use.target:
            mounts.append(FileMount(use.target, value, use.mode, read_only=True, uid=use.uid, gid=use.gid))
    for socket in step.agents:
        agent = secrets.agent(socket.id)
        if agent is None:
            missing.append(f"--ssh {socket.id}")
        else:
            mounts.append(AgentSocket(socket.target, agent, socket.mode, socket.uid, socket.gid))
    spec = replace(step.spec, env=tuple(sorted(variables.items())))
    # Those that contain others come first, as when the step ran.
    return spec, tuple(sorted(mounts, key=lambda mount: mount.target)), tuple(missing)


def _mount(mount: KeptMount, directory: str) -> StepMount:
    if isinstance(mount, KeptFiles):
        return BindMount(f"{directory}/files-{mount.number}", mount.target, not mount.writable)
    return mount


def encoded(step: FailedStep) -> bytes:
    """`step` as JSON. Words of a Buildfile may hold bytes that are no text: they travel as lone surrogates.

    Every RUN is described so, in case it fails: msgspec takes a tenth of the time, but no such words.
    """
    try:
        return msgspec.json.encode(step)
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(step)).encode()


def decoded(data: bytes) -> FailedStep:
    """The step `encoded` wrote. Raises ValueError."""
    return msgspec.convert(json.loads(data), readied(FailedStep))


class FailedSteps:
    """The failed steps kept in the store at `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, step: FailedStep) -> str:
        """Its directory."""
        return f"{self._root}/{FAILED}/{step.id}"

    def all(self) -> list[FailedStep]:
        """Every one, newest first."""
        return list(self._read(FAILED))

    def find(self, text: str = "") -> FailedStep:
        """The step of an ID, of a build's ID, or of a beginning of one; the newest for "" and `last`.

        Raises NotFoundError, and UsageError for what means several.
        """
        everything = self.all()
        found = everything[:1] if text in ("", "last") else [s for s in everything if s.id == text]
        found = found or [s for s in everything if text and s.id.startswith(text)]
        if not found:
            what = "no failed step is kept" if text in ("", "last") else f"no failed step is kept as {text}"
            raise NotFoundError(what, hint="pybuild shell --failed --list shows those there are")
        if len(found) > 1:
            raise UsageError(f"{text} means {' and '.join(s.id for s in found)}", hint="give the whole ID")
        return found[0]

    def layers(self) -> Iterator[Digest]:
        """The diff IDs of layers that kept steps stand on, those put aside for other IDs too (snapshots/apart)."""
        for step in self._read(f"{FAILED}*"):
            yield from (layer.diff_id for layer in step.stacked())

    def _read(self, directory: str) -> Iterator[FailedStep]:
        for path in sorted(self._root.glob(f"{directory}/*/failed.json"), reverse=True):
            try:
                yield decoded(path.read_bytes())
            except FileNotFoundError:
                continue  # removed meanwhile
            except ValueError:
                continue  # another version's
