"""The automatic cap: what a build does for the store when it has run something."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec import Struct

from builder.api.session import Session
from builder.config.settings import Amount, Value
from builder.digest import Digest
from builder.errors import NotFoundError, PybuildError, StoreError
from builder.events import Warned
from builder.store.memo import FETCHED

if TYPE_CHECKING:
    from builder.store.gc import Needed, Trees

# However little is free, the cache may have so much (BuildKit's reservedSpace is 10 GB, or a tenth of the disk).
_RESERVED = 2 << 30
# When something must go, so much more goes that the next builds need not.
_MARGIN = 0.9
# What a build may take for it. Layers go in pieces, so that others wait for one piece at most.
_SECONDS = 2.0
_PIECE = 16
# A look at every layer takes milliseconds, which most builds need not spend: see _due.
_LOOK_SECONDS = 600.0
_MEMO = "gc"


class Policy(Struct, frozen=True):
    """What the cache may take: see docs/cache.md. Durations in seconds, None for ever."""

    enabled: bool
    keep_bytes: Amount
    min_free: Amount
    keep_duration: float | None
    keep_untagged: float | None
    keep_mounts: float | None


def policy(found: Mapping[str, Value]) -> Policy:
    """The policy that is set."""
    return Policy(**{name: found[f"gc.{name.replace('_', '-')}"].value for name in Policy.__struct_fields__})


def cut_back(session: Session) -> None:
    """Bring the cache below its cap; when that does not go, the next build tries again, and this one is as good."""
    try:
        asked = policy(session.settings())
        if asked.enabled and _due(session, asked, time.time()):
            _cut_back(session, asked)
    except (PybuildError, OSError) as error:
        session.emit(Warned(f"the cache could not be cut back: {error}"))


def _due(session: Session, asked: Policy, now: float) -> bool:
    """Whether to look: with the layers that were added it may be too much, or the last look is a while ago."""
    known = (session.store.memo.get(_MEMO, "look") or b"").split()
    try:
        looked, then, taken = map(float, known)
    except ValueError:
        return True  # the first look, or a note that cannot be read
    taken += session.store.layers.bytes() - then
    return taken > _allowed(session, asked, int(taken)) or not 0 <= now - looked < _LOOK_SECONDS


def _allowed(session: Session, asked: Policy, taken: int) -> int:
    """The bytes the cache may take now, when it takes `taken`."""
    most, short = _limits(session, asked)
    return most if short <= 0 else min(most, max(_RESERVED, taken - short))


def _limits(session: Session, asked: Policy) -> tuple[int, int]:
    """The cap in bytes, and how much less is free on the disk than must be."""
    disk = os.statvfs(session.store.root)
    total, free = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
    return asked.keep_bytes.of(total), asked.min_free.of(total) - free


def _cut_back(session: Session, asked: Policy) -> None:
    # lazy: most builds have added too little
    from builder.api.gc import collected
    from builder.store.prunable import candidates, steps
    from builder.store.worth import evicted

    store, deadline = session.store, time.monotonic() + _SECONDS
    taken, left = 0, 1

    def choose(needed: Needed, trees: Trees) -> Collection[Digest]:
        nonlocal taken, left
        found = candidates(steps(store, needed, trees))
        taken = sum(c.bytes for c in found)
        most = _allowed(session, asked, taken)
        gone = evicted(found, most if taken <= most else int(most * _MARGIN), time.time(), asked.keep_duration)
        left = max(0, len(gone) - _PIECE)
        taken -= sum(c.bytes for c in gone[:_PIECE])
        return [key for candidate in gone[:_PIECE] for key in candidate.keys]

    cap, short = _limits(session, asked)
    if store.layers.bytes() + store.compressed.bytes() > cap or short > 0:
        store.memo.forget(FETCHED)
        store.compressed.release()
        _forget_untagged(session, asked)
        _forget_mounts(session, asked)
    while left and time.monotonic() < deadline:
        if collected(session, choose, "gc").postponed:
            return
    store.memo.put(_MEMO, "look", f"{time.time()} {store.layers.bytes()} {taken}".encode())


def _forget_untagged(session: Session, asked: Policy) -> None:
    """Images without a name and a container do not keep their layers for ever."""
    if asked.keep_untagged is None:
        return
    # lazy: as above
    from builder.runtime.containers import Containers

    users = {container.image_id for container in Containers(session.store.root).all()}
    with session.store.images.changing():
        for image in session.store.images.dangling(users):
            if abs(time.time() - image.added) >= asked.keep_untagged:
                session.store.images.remove(image)


def _forget_mounts(session: Session, asked: Policy) -> None:
    """Cache mounts that no step has used for long."""
    if asked.keep_mounts is None:
        return
    # lazy: as above
    from builder.api.prune import remove_mount
    from builder.snapshots.cachestock import last_used

    for name, used in last_used(session.store.root).items():
        if abs(time.time() - used) >= asked.keep_mounts:
            with suppress(NotFoundError, StoreError):  # one in use
                remove_mount(session, name)
