"""What is removed on request: cached steps, images without a name or a container, containers that have ended."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Sequence

from msgspec import Struct

from builder.api.durations import seconds
from builder.api.gc import collected, looked
from builder.api.session import Session
from builder.api.usage import sizes
from builder.digest import Digest
from builder.errors import NotFoundError, StoreError, UsageError
from builder.runtime import run as runtime
from builder.runtime.containers import Containers
from builder.snapshots import cachestock
from builder.store.catalog import identity
from builder.store.gc import Needed, Trees
from builder.store.memo import FETCHED
from builder.store.prunable import MOUNT, TYPES, Entry, candidates, steps
from builder.store.worth import evicted
from builder.views.filters import STEPS, unknown
from builder.views.records import RecordRow


class Pruned(Struct, frozen=True):
    """What was pruned, or would be, and the bytes it took. Bytes of what was not are estimated.

    `postponed`: something has all the store in use, so nothing was removed.
    """

    entries: tuple[Entry, ...]
    freed: int
    postponed: bool = False


def prune(
    session: Session,
    filters: Sequence[str] = (),
    *,
    keep_bytes: int | None = None,
    everything: bool = False,
    mounts: bool = False,
    dry_run: bool = False,
) -> Pruned:
    """Remove cached steps, with `mounts` cache mounts too, that all of `filters`, KEY=VALUE each, let through.

    Only steps whose layer nothing else has, unless `everything`; never what something that runs needs. With
    `keep_bytes` as few as leave that much of the cache, those worth least. With `dry_run` nothing is removed.
    What filters say: `parse_filters`.
    """
    passes = parse_filters(filters, time.time())
    measured = sizes(session).layers
    caches = _mounts(session) if mounts else []
    chosen: list[Entry] = []
    left: list[Entry] = []

    def choose(needed: Needed, trees: Trees) -> Collection[Digest]:
        known = [*steps(session.store, needed, trees, measured), *caches]
        found = [entry for entry in known if not entry.in_use and (entry.reclaimable or everything)]
        chosen.extend(_chosen(found, passes, keep_bytes))
        gone = {entry.id for entry in chosen}
        left.extend(entry for entry in found if entry.id not in gone)
        return [Digest(entry.id) for entry in chosen if entry.type != MOUNT]

    if dry_run:
        looked(session, choose)
        return Pruned(tuple(chosen), gained(chosen, left))
    if not filters and keep_bytes is None:
        session.store.memo.forget(FETCHED)
        session.store.compressed.release()
    done = collected(session, choose)
    if done.postponed:
        return Pruned((), 0, postponed=True)
    freed, busy = done.freed, set()
    for entry in chosen:
        if entry.type == MOUNT:
            try:
                freed += remove_mount(session, entry.id)
            except (NotFoundError, StoreError):  # a step has it now, or another process has removed it
                busy.add(entry.id)
    return Pruned(tuple(entry for entry in chosen if entry.id not in busy), freed)


def remove_mount(session: Session, name: str) -> int:
    """Remove the cache mount `name`; gives the bytes it took. Raises NotFoundError, StoreError for one in use."""
    return session.launcher().call(cachestock.remove, None, session.store.root, name).result().freed


def _mounts(session: Session) -> list[Entry]:
    found = session.launcher().call(cachestock.stock, None, session.store.root).result()
    return [
        Entry(
            id=mount.name,
            type=MOUNT,
            place=mount.uses[0].place if mount.uses else "",
            stage="",
            step=f"cache mount {mount.about.id}",
            size=mount.size,
            layer=mount.name,
            reclaimable=True,
            in_use=mount.in_use,
            created=mount.created,
            last_used=mount.last_used,
            hits=0,
            seconds=0.0,
        )
        for mount in found
    ]


def _chosen(found: list[Entry], passes: Callable[[Entry], bool], keep_bytes: int | None) -> list[Entry]:
    matching = [entry for entry in found if passes(entry)]
    if keep_bytes is None:
        return matching
    most = max(0, keep_bytes - gained(found) + gained(matching))
    gone = {key.hex for c in evicted(candidates(matching), most, time.time()) for key in c.keys}
    return [entry for entry in matching if entry.id in gone]


def gained(entries: Collection[Entry], others: Collection[Entry] = ()) -> int:
    """About the bytes that are free once all of `entries` are gone and `others` are not."""
    staying = {entry.layer for entry in others}
    free = {entry.layer: entry.size for entry in entries if entry.reclaimable and entry.layer not in staying}
    return sum(free.values())


def parse_filters(texts: Sequence[str], now: float) -> Callable[[Entry | RecordRow], bool]:
    """What all of `until=`, `unused-for=` (a duration since the last use), `type=`, `stage=` and `id=` let through.

    `!=` lets through what `=` does not. Raises UsageError.
    """
    tests = [_parsed(text, now) for text in texts]
    return lambda entry: all(test(entry) for test in tests)


def _parsed(text: str, now: float) -> Callable[[Entry | RecordRow], bool]:
    key, equals, value = text.partition("=")
    unequal, key = key.endswith("!"), key.removesuffix("!")
    if key not in STEPS or not equals or (unequal and key in ("until", "unused-for")):
        raise unknown(text, STEPS)
    match key:
        case "until" | "unused-for":
            least = seconds(value, f"--filter {text}")
            return lambda entry: abs(now - entry.last_used) >= least
        case "type":
            if value not in TYPES:
                raise UsageError(f"--filter {text}: there is no such type", hint=f"use {', '.join(TYPES)}")
            return lambda entry: (entry.type == value) != unequal
        case "stage":
            return lambda entry: (entry.stage == value) != unequal
        case _:
            prefix = value.removeprefix("sha256:")
            return lambda entry: entry.id.startswith(prefix) != unequal


class Removed(Struct, frozen=True):
    """What was removed, in the words Docker tells it by, and the bytes it took."""

    lines: tuple[str, ...]
    freed: int


def prune_containers(session: Session, filters: Sequence[str] = ()) -> Removed:
    """Remove containers that do not run; of `filters` only `until=`, a duration since they were made."""
    oldest = _until(filters)
    found, root = sizes(session), session.store.root
    containers = Containers(root)
    gone, freed = [], 0
    for container in containers.all():
        lock = containers.hold(container) if container.created <= oldest else None
        if lock is None:
            continue
        try:
            runtime.delete(session.launcher(), root, container)
        finally:
            os.close(lock)
        gone.append(container.id)
        freed += found.below("containers", (container.id,))
    return Removed(tuple(gone), freed)


def prune_images(session: Session, filters: Sequence[str] = (), *, everything: bool = False) -> Removed:
    """Remove images that have no name, with `everything` all, but for those of containers; filters as above."""
    oldest = _until(filters)
    images = session.store.images
    users = {container.image_id for container in Containers(session.store.root).all()}
    lines: list[str] = []
    with images.changing():
        for image in images.dangling(users, named=everything):
            if image.added <= oldest:
                images.remove(image)
                lines += [*(f"untagged: {name}" for name in image.names), f"deleted: {identity(image)}"]
    return Removed(tuple(lines), collected(session).freed)


def _until(filters: Sequence[str]) -> float:
    """The time something must be as old as. Raises UsageError."""
    oldest = now = time.time()
    for text in filters:
        key, equals, value = text.partition("=")
        if key != "until" or not equals:
            raise UsageError(f"--filter {text} is not known", hint="use until=, such as until=24h")
        oldest = min(oldest, now - seconds(value, f"--filter {text}"))
    return oldest
