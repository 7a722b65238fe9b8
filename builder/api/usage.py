"""What the store takes, by kind: images, containers, cached steps, cache mounts, failed steps."""

from __future__ import annotations

from msgspec import Struct

from builder.api.gc import looked
from builder.api.session import Session
from builder.digest import Digest
from builder.runtime.containers import Container, Containers
from builder.snapshots.cachemounts import DIRECTORY as CACHE_MOUNTS
from builder.snapshots.cachestock import stock
from builder.solve.failed import FailedSteps
from builder.store.gc import Needed, Trees
from builder.store.open import FAILED
from builder.store.prunable import Entry, steps
from builder.views import df
from builder.views.df import ImageUse as ImageUse
from builder.views.df import Kind as Kind
from builder.views.df import Measured, measured, trees


class ContainerUse(Struct, frozen=True):
    """A container, whether it runs, and the bytes of what it wrote."""

    container: Container
    running: bool
    size: int


class Usage(Struct, frozen=True):
    """The kinds, and what there is of images, containers and cached steps."""

    kinds: tuple[Kind, ...]
    images: tuple[ImageUse, ...]
    containers: tuple[ContainerUse, ...]
    cache: tuple[Entry, ...]


def sizes(session: Session) -> Measured:
    """What is on the disk, measured."""
    root = session.store.root
    return measured(session.store, session.launcher().call(trees, None, root).result())


def usage(session: Session) -> Usage:
    """What the store takes now."""
    store = session.store
    found, entries = sizes(session), list[Entry]()

    def note(needed: Needed, unpacked: Trees) -> tuple[Digest, ...]:
        entries.extend(steps(store, needed, unpacked, found.layers))
        return ()

    looked(session, note)
    known = Containers(store.root)
    containers = [ContainerUse(c, known.running(c), found.below("containers", (c.id,))) for c in known.all()]
    images, rows = df.images(store, found, [c.container.image_id for c in containers])
    mounts = session.launcher().call(stock, None, store.root).result()
    failed = [step.id for step in FailedSteps(store.root).all()]
    kinds = (
        images,
        df.directories(
            "Containers",
            "containers",
            found,
            [c.container.id for c in containers],
            [c.container.id for c in containers if c.running],
        ),
        df.cache(entries),
        df.directories(
            "Cache Mounts", CACHE_MOUNTS, found, [m.name for m in mounts], [m.name for m in mounts if m.in_use]
        ),
        df.directories("Failed Steps", FAILED, found, failed, ()),
    )
    return Usage(kinds, tuple(rows), tuple(containers), tuple(entries))
