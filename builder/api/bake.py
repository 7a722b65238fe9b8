"""Several images at once, from bake files: what they define, which of it is meant, and building it.

config = load(request)                  files read and evaluated
project = chosen(config, request)       targets, groups, overrides
bake(session, project, request)         all of it built: what one target makes of another's steps runs once
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from builder.api.among import Among, Image
from builder.api.build import Built
from builder.api.build import built as build
from builder.api.cap import cut_back
from builder.api.metadata import write
from builder.api.resources import resources
from builder.api.session import Session
from builder.bake import permissions, project
from builder.bake.definitions import Config, Given
from builder.bake.entries import canonical_attest
from builder.bake.files import DEFAULT_FILES, LARGEST, File, config_of
from builder.bake.overrides import Override, parse
from builder.bake.project import Project
from builder.bake.requests import remote, request_of, targets_in, where
from builder.bake.target import document
from builder.errors import CanceledError, NotFoundError, PybuildError, UsageError
from builder.graph.scope import EPOCH_ARG
from builder.image.platform import host
from builder.progress.several import Several
from builder.request import BuildRequest
from builder.solve import scheduler

_FILES, _SEPARATOR = "BUILDX_BAKE_FILE", "BUILDX_BAKE_PATH_SEPARATOR"
_NO_ENVIRONMENT, _NO_FILES = "BUILDX_BAKE_DISABLE_VARS_ENV_LOOKUP", "BUILDX_BAKE_ENTITLEMENTS_FS"
_STDIN = "-"


class BakeRequest(Struct, frozen=True):
    """What is to be built of which files.

    `files` are those of --file, none for those that are looked for (bake/files); `targets` names of targets, groups
    and patterns, none for `default`. `overrides` are as --set takes them, `variables` as --var does. `load`, `push`,
    `no_cache`, `pull`, `provenance`, `sbom` and `call` are for all targets, None for what each says itself. `allow` as
    --allow takes its values. `parallelism` is how many steps run at once, of all targets together. `metadata_file` is
    written what was made, by target.
    """

    files: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    load: bool = False
    push: bool = False
    no_cache: bool | None = None
    pull: bool | None = None
    provenance: str | None = None
    sbom: str | None = None
    call: str | None = None
    allow: tuple[str, ...] = ()
    parallelism: int = 4
    metadata_file: str | None = None


# --- what is meant ---------------------------------------------------------------------------------


def load(request: BakeRequest) -> Config:
    """What the bake files define. Raises NotFoundError, UsageError, and BuildfileError with the place."""
    if request.targets and remote(request.targets[0]):
        raise UsageError(
            f"{request.targets[0]}: a bake file is read from where you are, and of no other place",
            hint="fetch it first, and run pybuild bake there; contexts of its targets may be elsewhere",
        )
    fixed = {"BAKE_CMD_CONTEXT": "cwd://", "BAKE_LOCAL_PLATFORM": str(host())}
    allowed = _allowed(request)

    def read(name: str) -> bytes:
        permissions.check_read(name, allowed, os.path.realpath)
        return _file(name).data

    return config_of(_read(request.files), Given(_look_up(request.variables), fixed), read)


def chosen(config: Config, request: BakeRequest) -> Project:
    """The targets that are meant, with all that is laid over them. Raises NotFoundError, UsageError."""
    return project.chosen(config, request.targets, _overrides(request))


def _allowed(request: BakeRequest) -> permissions.Allowed:
    files = os.environ.get(_NO_FILES) not in ("0", "false")
    return permissions.Allowed.parse(request.allow, str(Path.cwd()), files=files)


def built(meant: Project) -> list[str]:
    """The targets that are built: all but those that have another thing to be called for, and nobody needs."""
    alone = [name for name, target in meant.targets.items() if target.get("call", "build") == "build"]
    found = dict.fromkeys(alone)
    for name in alone:
        found.update(dict.fromkeys(meant.needs(name)))
    return list(found)


def _overrides(request: BakeRequest) -> list[Override]:
    return [parse(text, os.environ.get) for text in (*request.overrides, *_for_all(request))]


def printed(meant: Project) -> dict[str, Any]:
    """What --print shows: with contexts as they are found, and the time that is in the environment, as in buildx."""
    shown = {name: target.over(context=where(target)[0]) for name, target in meant.targets.items()}
    epoch = os.environ.get(EPOCH_ARG)
    if epoch:
        shown = {n: t.over(args={EPOCH_ARG: epoch, **t.get("args", {})}) for n, t in shown.items()}
    return document(shown, meant.groups)


def requests(meant: Project, request: BakeRequest) -> dict[str, BuildRequest]:
    """What is built for each target. Raises UsageError, also for what was not allowed."""
    permissions.check([*meant.targets.values()], _allowed(request).with_given(_overrides(request)), os.path.realpath)
    found = {
        name: request_of(target, resources, os.environ.get, parallelism=request.parallelism)
        for name, target in meant.targets.items()
    }
    _apart(found)
    return found


def _apart(found: Mapping[str, BuildRequest]) -> None:
    """Raise UsageError for two targets that write to one place."""
    places: dict[str, str] = {}
    for name, request in found.items():
        for output in request.outputs:
            place = next((part[5:] for part in output.split(",") if part.startswith("dest=")), None)
            if place is None or output.startswith("type=local"):
                continue
            if place in places:
                raise UsageError(
                    f"{places[place]} and {name} both write to {place}", hint="give each a dest of its own"
                )
            places[place] = name


def _for_all(request: BakeRequest) -> list[str]:
    said: dict[str, bool | None] = {"push": request.push or None, "load": request.load or None}
    said |= {"no-cache": request.no_cache, "pull": request.pull}
    found = [f"*.{key}={str(value).lower()}" for key, value in said.items() if value is not None]
    if request.call is not None:
        found.append(f"*.call={request.call}")
    for kind, value in (("sbom", request.sbom), ("provenance", request.provenance)):
        if value is not None:
            found.append(f"*.attest={canonical_attest(kind, value)}")
    return found


def _look_up(variables: Mapping[str, str]) -> Callable[[str], str | None]:
    environment = {} if os.environ.get(_NO_ENVIRONMENT) in ("1", "true") else dict(os.environ)
    known = {**environment, **variables}

    def look_up(name: str) -> str | None:
        value = known.get(name)
        if value is not None and not value.isprintable() and any(0xD800 <= ord(c) < 0xE000 for c in value):
            raise UsageError(f"the variable {name} is not UTF-8")
        return value

    return look_up


def _read(names: Sequence[str]) -> list[File]:
    if not names:
        text = os.environ.get(_FILES, "")
        separator = os.environ.get(_SEPARATOR) or os.pathsep
        names = [name.strip() for name in text.split(separator) if name.strip()]
    wanted = names or [name for name in DEFAULT_FILES if Path(name).is_file()]
    if not wanted:
        raise NotFoundError("there is no bake file here", hint=f"it is looked for as {', '.join(DEFAULT_FILES)}")
    return [_file(name.removeprefix("cwd://")) for name in wanted]


def _file(name: str) -> File:
    if name == _STDIN:
        return File("<stdin>", sys.stdin.buffer.read(LARGEST + 1))
    try:
        with Path(name).open("rb") as file:
            return File(name, file.read(LARGEST + 1))
    except FileNotFoundError:
        raise NotFoundError(f"{name} does not exist", hint="-f names a bake file, relative to where you are") from None
    except OSError as error:
        raise UsageError(f"{name} cannot be read: {error.strerror}") from error


# --- building --------------------------------------------------------------------------------------


def bake(session: Session, meant: Project, request: BakeRequest) -> dict[str, Built]:
    """Build all targets; of those that others stand on, these first.

    Raises what a build raises, and the name of the target is told; the others are ended then.
    """
    everything = requests(meant, request)
    asked = {name: everything[name] for name in built(meant)}
    names = list(asked)
    inputs = [[names.index(need) for need in meant.needs(name)] for name in names]
    jobs = _Baking(session, meant, asked, request.parallelism)
    try:
        with session.store.leases.working():
            scheduler.run(inputs, range(len(names)), jobs, request.parallelism)
    finally:
        if session.started:
            cut_back(session)
    done = {name: jobs.done[name] for name in names}
    if len(names) > 1:
        jobs.shown.end()
    if request.metadata_file is not None:
        write(request.metadata_file, {name: one.metadata() for name, one in done.items()})
    return done


class _Baking:
    """The targets as jobs of the scheduler."""

    def __init__(self, session: Session, meant: Project, asked: Mapping[str, BuildRequest], parallelism: int) -> None:
        self._session, self._meant, self._asked = session, meant, asked
        self._names = list(asked)
        self._turns = threading.Semaphore(parallelism)
        self._needed = {need for name in asked for need in meant.needs(name)}
        self._beside: list[Session] = []
        self.shown = Several(session.emit)
        self.done: dict[str, Built] = {}

    def lookup(self, vertex: int) -> bool:
        """A target alone is built at once, in this thread; of several none."""
        if len(self._names) > 1:
            return False
        self._build(self._session, vertex)
        return True

    def prepare(self) -> None:
        """Start the worker, which all share, while there is one thread."""
        self._session.worker().start()

    def execute(self, vertex: int) -> None:
        """Build a target, in a session of its own."""
        with self._session.beside(self.shown.watcher(vertex, self._names[vertex])) as session:
            self._beside.append(session)
            self._build(session, vertex)

    def cancel(self, error: BaseException) -> None:
        """Stop all that runs."""
        self._session.worker().cancel()
        for session in self._beside:
            session.cancel()

    def _build(self, session: Session, vertex: int) -> None:
        name = self._names[vertex]
        among = Among(
            targets_in(self._meant.targets[name]),
            {need: self._images(need) for need in self._meant.needs(name)},
            self._turns,
            name in self._needed,
        )
        session.among = among
        try:
            self.done[name] = build(session, self._asked[name])
        except PybuildError as error:
            if len(self._names) > 1 and not isinstance(error, CanceledError):
                error.message = f"{name}: {error.message}"
            raise
        finally:
            session.among = None

    def _images(self, name: str) -> list[Image]:
        return [Image(made.platform, made.config, made.layers) for made in self.done[name].images]
