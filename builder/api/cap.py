"""The automatic cap: what a build does for the store when it has run something."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from pathlib import Path

from msgspec import Struct

from builder.api.gc import collected
from builder.api.session import Session
from builder.config import Amount, settings
from builder.digest import Digest
from builder.errors import PybuildError
from builder.events import Warned
from builder.runtime.containers import Containers
from builder.store.gc import Needed, Trees
from builder.store.prunable import candidates, steps
from builder.store.worth import evicted

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


def policy(paths: tuple[Path, ...] | None = None) -> Policy:
    """The policy that is set. Raises UsageError for settings that cannot be meant so."""
    found = settings(paths)
    return Policy(**{name: found[f"gc.{name.replace('_', '-')}"].value for name in Policy.__struct_fields__})


def cut_back(session: Session, asked: Policy) -> None:
    """Bring the cache below its cap; when that does not go, the next build tries again, and this one is as good."""
    try:
        if asked.enabled and _due(session, asked, time.time()):
            _cut_back(session, asked)
    except (PybuildError, OSError) as error:
        session.emit(Warned(f"the cache could not be cut back: {error}"))


def _due(session: Session, asked: Policy, now: float) -> bool:
    """Whether to look: layers were added that could be too much, or the last look is a while ago."""
    known = (session.store.memo.get(_MEMO, "look") or b"").split()
    if len(known) != 3:
        return True
    looked, then, room = map(float, known)
    added = session.store.layers.bytes() - then
    return added >= min(room, _allowed(session, asked) - then) or not 0 <= now - looked < _LOOK_SECONDS


def _allowed(session: Session, asked: Policy) -> int:
    """The bytes the cache may take now."""
    disk = os.statvfs(session.store.root)
    total, free = disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize
    most, short = asked.keep_bytes.of(total), asked.min_free.of(total) - free
    return most if short <= 0 else min(most, max(_RESERVED, session.store.layers.bytes() - short))


def _cut_back(session: Session, asked: Policy) -> None:
    store, deadline = session.store, time.monotonic() + _SECONDS
    most, taken, left = _allowed(session, asked), 0, 1

    def choose(needed: Needed, trees: Trees) -> Collection[Digest]:
        nonlocal taken, left
        found = candidates(steps(store, needed, trees))
        taken, now = sum(c.bytes for c in found), time.time()
        target = most if taken <= most else int(most * _MARGIN)
        gone = evicted(found, target, now, asked.keep_duration)
        left = max(0, len(gone) - _PIECE)
        taken -= sum(c.bytes for c in gone[:_PIECE])
        return [key for candidate in gone[:_PIECE] for key in candidate.keys]

    if session.store.layers.bytes() > most:
        _forget_untagged(session, asked)
    while left and time.monotonic() < deadline:
        if collected(session, choose, "gc").postponed:
            return
    store.memo.put(_MEMO, "look", f"{time.time()} {store.layers.bytes()} {most - taken}".encode())


def _forget_untagged(session: Session, asked: Policy) -> None:
    """Images without a name and a container do not keep their layers for ever."""
    if asked.keep_untagged is None:
        return
    users = {container.image_id for container in Containers(session.store.root).all()}
    for image in session.store.images.all():
        old = abs(time.time() - image.added) >= asked.keep_untagged
        if old and not image.names and str(image.config) not in users:
            session.store.images.remove(image)
