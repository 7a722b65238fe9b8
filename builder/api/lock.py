"""`Buildfile.lock`: written, moved on, and compared with what its names mean now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from builder.api.meant import lower_options, timed
from builder.api.pinned import read_lock
from builder.api.session import Session, platforms_of
from builder.errors import NotFoundError, UsageError
from builder.graph.lower import LowerOptions, Resolver, lower
from builder.graph.stages import Stage, StageTable, split
from builder.graph.vertex import Graph
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.lang import ast
from builder.linux.files import write_atomically
from builder.request import BuildRequest
from builder.sources import buildfile, lockfile
from builder.sources.contexts import Opened, main_source, open_main
from builder.sources.lockfile import IMAGE, GitPin, ImagePin, Key, Lock, Pin, UrlPin
from builder.sources.meanings import Meanings
from builder.sources.pins import LockText, Pins, Terms
from builder.sources.remotes import Remotes


class Change(Struct, frozen=True):
    """A pin that is new (`old` is None), moved, or no longer needed (`new` is None).

    `old` and `new` are digests or commits; where both would be the same, the platforms that are pinned.
    """

    kind: str
    name: str
    old: str | None
    new: str | None


class Locked(Struct, frozen=True):
    """What became of the lock `path`: what has changed in it, and how many pins it has.

    `fixed` are sources that need no pin: they say themselves what they must be.
    """

    path: str
    changes: tuple[Change, ...]
    pins: int
    fixed: tuple[str, ...]


def lock(session: Session, request: BuildRequest, *, update: Sequence[str] | None = None, add: bool = False) -> Locked:
    """Write the lock of a Buildfile: of all its stages, or of what the request's target needs.

    What is in it already stays as it is, but for the names in `update`, or all if that is empty: they get what they
    mean now. What is not named any more goes, unless `add`. Of several platforms (with commas) all are pinned; the
    request's are those of the lock where it names none. Raises what a build does before it runs anything.
    """
    read, new, fixed = _made(session, request, update, add=add)
    text = lockfile.text_of(new)
    if not read.there or text != read.text:
        _write(read.path, text)
    return Locked(read.path, _changes(read.lock, new), len(new.pins()), fixed)


def outdated(session: Session, request: BuildRequest) -> Locked:
    """What `lock` with `update` for all would change. Nothing is written."""
    read, new, fixed = _made(session, request, (), add=False)
    return Locked(read.path, _changes(read.lock, new), len(read.lock.pins()), fixed)


def _made(
    session: Session, request: BuildRequest, update: Sequence[str] | None, *, add: bool
) -> tuple[LockText, Lock, tuple[str, ...]]:
    """The lock that is there, the one that is to be, and what needs no pin."""
    with session.store.leases.working(), Remotes(session.store, session.emit, offline=session.offline) as remotes:
        read = None if request.lock_file is None else _read(session, request.lock_file)
        if read is not None:
            remotes.pins = _keeping(session, read, update)
        opened = open_main(request.context, request.file, remotes)
        if read is None:
            read = _beside(session, request, opened)
            remotes.pins = _keeping(session, read, update)
        old, platforms = read.lock.pins(), platforms_of(request.platform or ",".join(read.lock.platforms))
        meanings = Meanings(
            session.ingest,
            remotes,
            opened.root,
            session.emit,
            _kept(read.lock, update),
            old,
            newest=update is not None,
            offline=session.offline,
        )
        with meanings.gathering():
            _ask(session, request, opened, platforms, meanings)
    pins = {key: _settled(old.get(key), pin, add=add) for key, pin in meanings.pins().items()}
    asked = tuple(map(str, platforms))
    if add:
        pins = {**old, **pins}
        asked = tuple(dict.fromkeys((*read.lock.platforms, *asked)))
    return read, Lock.of(pins, asked), tuple(meanings.fixed)


def _ask(
    session: Session, request: BuildRequest, opened: Opened, platforms: tuple[Platform, ...], meanings: Meanings
) -> None:
    """Have `meanings` note all that is named: the context, and what the stages take."""
    main = main_source(request.context)
    if main is not None:
        meanings.remote(main)
    tree = buildfile.parsed(opened.source, session.store.memo)
    for platform in platforms:
        options = timed(lower_options(request, platform)[0], request, opened)
        for graph in _graphs(tree, opened, options, meanings):
            meanings.take(graph)


# --- the lock that is there ----------------------------------------------------------------------


def _read(session: Session, path: str) -> LockText:
    return read_lock(session.store, path, buildfile.lock_text(path))


def _beside(session: Session, request: BuildRequest, opened: Opened) -> LockText:
    here = Path(request.context).is_dir() or Path(request.file or "").is_absolute()
    if opened.lock is None or not here:
        where = "standard input" if "-" in (request.file, request.context) else "another place"
        raise UsageError(
            f"a Buildfile from {where} has nothing beside it to write a lock to",
            hint="--lock-file FILE says where; build takes it, too",
        )
    return read_lock(session.store, *opened.lock)


def _keeping(session: Session, read: LockText, update: Sequence[str] | None) -> Pins:
    kept = Lock.of(_kept(read.lock, update), ())
    return Pins(session.store, Terms(), LockText(read.path, kept, read.text, read.there))


def _kept(lock: Lock, update: Sequence[str] | None) -> dict[Key, Pin]:
    """The pins that are not to be moved. Raises NotFoundError for a name that is not there."""
    pins = lock.pins()
    if update is None:
        return pins
    moved: set[Key] = set() if update else set(pins)
    for name in update:
        found = {key for key in pins if _means(name, key)}
        if not found:
            there = ", ".join(key[1] for key in pins) or "nothing"
            raise NotFoundError(f"{name} is not in the lock", hint=f"it has {there}")
        moved |= found
    return {key: pin for key, pin in pins.items() if key not in moved}


def _means(name: str, key: Key) -> bool:
    """Whether a user who says `name` means the pin `key`: all of a git reference, or its repository alone."""
    kind, there = key
    if name in (there, there.partition("#")[0]):
        return True
    try:
        return kind == IMAGE and Reference.parse(name).tagged().familiar() == there
    except UsageError:
        return False


# --- what is named -------------------------------------------------------------------------------


def _graphs(tree: ast.Buildfile, opened: Opened, options: LowerOptions, resolver: Resolver) -> Iterator[Graph]:
    """The graph of the target, or graphs that have all stages between them."""
    if options.target:
        yield lower(tree, opened.source, options, resolver)
        return
    table = split(tree, opened.source)
    todo = {stage.origin.span.line: stage for stage in table.stages}
    while todo:
        last = todo.pop(max(todo))
        graph = lower(tree, opened.source, replace(options, target=_target(table, last)), resolver)
        yield graph
        left = {origin.line for origin in graph.skipped}
        todo = {line: stage for line, stage in todo.items() if line in left}


def _target(table: StageTable, stage: Stage) -> str:
    """How --target would name a stage; nothing for the last."""
    if stage is table.stages[-1]:
        return ""
    return stage.name if stage.name and table.names[stage.name][-1] == stage.index else str(stage.index)


# --- the lock that is to be ----------------------------------------------------------------------


def _settled(old: Pin | None, new: Pin, *, add: bool) -> Pin:
    """`new`, as old as the pin that says the same; with `add` with its platforms, too."""
    if isinstance(old, ImagePin) and isinstance(new, ImagePin):
        if (old.digest, old.local) != (new.digest, new.local):
            return new
        return replace(new, date=old.date, platforms={**old.platforms, **new.platforms} if add else new.platforms)
    if isinstance(old, UrlPin | GitPin) and replace(old, date=new.date) == new:
        return old
    return new


def _changes(old: Lock, new: Lock) -> tuple[Change, ...]:
    before, after = old.pins(), new.pins()
    keys = sorted({*before, *after}, key=lambda key: (lockfile.KINDS.index(key[0]), key[1]))
    pairs = ((key, before.get(key), after.get(key)) for key in keys)
    return tuple(_change(key, was, now) for key, was, now in pairs if was != now)


def _change(key: Key, was: Pin | None, now: Pin | None) -> Change:
    old, new = _said(was), _said(now)
    if old == new and isinstance(was, ImagePin) and isinstance(now, ImagePin):
        old, new = (", ".join(sorted(pin.platforms)) or "no platform" for pin in (was, now))
    return Change(*key, old, new)


def _said(pin: Pin | None) -> str | None:
    if pin is None:
        return None
    return pin.commit if isinstance(pin, GitPin) else str(pin.digest)


def _write(path: str, text: str) -> None:
    try:
        write_atomically(path, text.encode())
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error
