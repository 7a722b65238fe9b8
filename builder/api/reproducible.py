"""Is a build reproducible: done twice, here and elsewhere, with nothing cached, and compared step by step."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, cast

from msgspec import Struct
from msgspec.structs import replace

from builder.api.build import Built, built
from builder.api.drawn import graph
from builder.api.session import Session
from builder.digest import Reader
from builder.errors import UsageError
from builder.events import Note
from builder.graph.scope import EPOCH_ARG
from builder.graph.vertex import BaseImage, Copy, Graph, Scratch, inputs
from builder.image import pulling
from builder.image.descriptor import Layer
from builder.image.mediatypes import compression_of
from builder.image.reference import Reference
from builder.layers import compress
from builder.linux.elsewhere import elsewhere, other_directory
from builder.linux.files import remove_tree
from builder.linux.locks import abandoned, create_locked
from builder.request import BuildRequest
from builder.sources.resolver import LAYOUT
from builder.store.open import Store
from builder.views.unlike import Pairs, Unlike, unlike

# So that no time in whole seconds is the same.
_APART_SECONDS = 1.1
_PREFIX = "pybuild-second-"
# A layer is in a store as its files, as it was made, and under the epoch.
_COPIES = 3


class StepUnlike(Struct, frozen=True):
    """A step that made different things: the first entry that differs.

    `source` are the places of steps whose different files it has taken over; else `below` are those of steps it stands
    on and that differ by themselves, where nothing tells whether that is why.
    """

    place: str
    stage: str
    name: str
    entry: Unlike
    source: tuple[str, ...] = ()
    below: tuple[str, ...] = ()


class Verified(Struct, frozen=True):
    """What came out: what differs in which steps, which fields of the configs differ.

    `images` are the digests of both manifests, or indexes; `epoch` is the SOURCE_DATE_EPOCH of both builds, in seconds,
    `steps` how many steps were compared.
    """

    reproducible: bool
    images: tuple[str, str]
    epoch: int
    steps: int
    unlike: tuple[StepUnlike, ...] = ()
    config: tuple[str, ...] = ()


def verify(session: Session, request: BuildRequest, other_root: str | None = None) -> Verified:
    """Build what `request` asks for twice and compare.

    The second time is in a new store, in `other_root` or in a temporary directory on another file system where there
    is one, in another environment. What the request would tag or write is not. Raises what a build does.
    """
    if "-" in (request.context, request.file):
        raise UsageError("standard input cannot be read twice", hint="put it into a directory")
    request = _at_some_time(session, _bare(request))
    session.emit(Note("first build"))
    first = built(session, request)
    time.sleep(_APART_SECONDS)
    with _second_store(session, first, other_root) as other:
        session.emit(Note(f"second build, in {other.store.root}"))
        with elsewhere():
            second = built(other, request)
        if first.graph != second.graph:
            raise UsageError("the Buildfile has changed between the two builds", hint="try again")
        return _compared(first, second, session.store, other.store)


def _bare(request: BuildRequest) -> BuildRequest:
    """`request` with nothing to leave behind, and nothing taken from the cache."""
    return replace(
        request,
        tags=(),
        outputs=(),
        push=False,
        sign_key=None,
        attest=(),
        provenance=None,
        sbom=None,
        iidfile=None,
        on_fail_export=(),
        step_export=(),
        keep_failed=0,
        no_cache=True,
        cache_from=(),
        cache_to=(),
    )


def _at_some_time(session: Session, request: BuildRequest) -> BuildRequest:
    """`request` with an epoch, that of now where it has none: else it is known what would differ.

    What it says of pulling is done here: both builds get the same base images.
    """
    epoch = graph(session, request).epoch
    request = replace(request, pull=pulling.MISSING)
    if epoch is not None:
        return request
    now = str(int(time.time()))
    session.emit(Note(f"no --source-date-epoch is given: both builds get {now}"))
    return replace(request, build_args={**request.build_args, EPOCH_ARG: now})


# --- the second store ----------------------------------------------------------------------------


@contextmanager
def _second_store(session: Session, first: Built, given: str | None) -> Iterator[Session]:
    size = _COPIES * sum(layer.size for layer in {y for stack in first.stacks.values() for y in stack.layers})
    above = Path(given or other_directory(str(session.store.root), size) or tempfile.gettempdir())
    for left in abandoned(above, f"{_PREFIX}*/lock"):  # by one that was killed
        _remove(session, left.parent)
    try:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=above))
    except OSError as error:
        raise UsageError(f"--second-root {above}: {error.strerror}") from error
    lock = -1
    try:
        lock = create_locked(path / "lock")
        with Session(path / "store", session.emit, session.options) as other:
            bases = [vertex for vertex in first.graph.vertices if isinstance(vertex, BaseImage)]
            # Layouts are read where they lie.
            _lend(session.store, other.store, [v for v in bases if not v.reference.startswith(LAYOUT)])
            yield other
    finally:
        _remove(session, path)
        if lock >= 0:
            os.close(lock)


def _remove(session: Session, path: Path) -> None:
    """Remove a second store, by who may remove files of mapped IDs."""
    session.launcher().call(remove_tree, None, str(path)).result()


def _lend(store: Store, other: Store, vertices: Sequence[BaseImage]) -> None:
    """Give `other` the base images of `store`, so that it finds each as the build asks for it."""
    for digest in dict.fromkeys(vertex.manifest for vertex in vertices):
        image = store.images.by_manifest(digest)
        manifest = store.images.manifest(image)
        for layer in store.images.layers(digest):
            source = store.blobs.open(layer.blob)
            with other.blobs.writer() as target:
                shutil.copyfileobj(cast("IO[bytes]", source), cast("IO[bytes]", target), 1 << 20)
                source.drain()
                target.commit(layer.blob.digest)
            other.layers.add(layer)
        other.blobs.put_bytes(store.blobs.read(manifest.config))
        other.images.add(manifest, store.images.data(image))
        for index in store.images.within(image):
            other.images.add_index(index.descriptor, store.images.data(index))
    for vertex in vertices:
        named = store.images.named(vertex.reference)
        name = Reference.parse(vertex.reference).tagged()
        if named is not None and name.familiar() in named.names and other.images.has(named):
            other.images.tag(named, name)
        found = other.images.lookup(vertex.reference, vertex.platform)
        if (found is None or found.manifest.digest != vertex.manifest) and name.digest is None:
            other.images.tag(other.images.by_manifest(vertex.manifest), name)  # what it was a moment ago


# --- comparing -----------------------------------------------------------------------------------


def _compared(first: Built, second: Built, store: Store, other: Store) -> Verified:
    graph, found, pairs = first.graph, dict[int, StepUnlike](), dict[int, Pairs]()
    assert graph.epoch is not None
    for number in sorted(first.stacks):
        if isinstance(graph.vertices[number], Scratch | BaseImage):
            continue
        one, another = first.stacks[number], second.stacks[number]
        a, b = one.layers[-1], another.layers[-1]
        since = (one.since[-1] or 0, another.since[-1] or 0)
        differs = None
        if a.diff_id != b.diff_id:
            differs = unlike(partial(_tar, store, a), partial(_tar, other, b), graph.epoch, since)
        if differs is not None:
            pairs[number] = differs[1]
            found[number] = _step(first, number, differs[0], found, pairs)
    images = str(first.digest), str(second.digest)
    config = _fields(first, second) if not found else ()
    steps = sum(not isinstance(graph.vertices[n], Scratch | BaseImage) for n in first.stacks)
    same = images[0] == images[1] and not found
    return Verified(same, images, graph.epoch, steps, tuple(found.values()), config)


def _tar(store: Store, layer: Layer) -> Reader:
    return compress.reader(compression_of(layer.blob.media_type), store.blobs.open(layer.blob))


def _step(
    built: Built, number: int, entry: Unlike, before: Mapping[int, StepUnlike], pairs: Mapping[int, Pairs]
) -> StepUnlike:
    vertex = built.graph.vertices[number]
    differ = [n for n in _below(built.graph, number) if n in before]
    taken = [n for n in differ if pairs[n] & pairs[number] and not before[n].source]
    if not taken and isinstance(vertex, Copy):
        taken = differ  # a copy makes nothing up
    roots = [] if taken else [n for n in differ if not before[n].source]
    source, below = (dict.fromkeys(before[n].place for n in some) for some in (taken, roots))
    place = f"{built.opened.source.name}:{vertex.origin.line}"
    return StepUnlike(place, vertex.origin.stage, vertex.origin.name, entry, tuple(source), tuple(below))


def _below(graph: Graph, number: int) -> list[int]:
    """All that `number` stands on or takes from, in order."""
    found: set[int] = set()
    todo = list(inputs(graph.vertices[number]))
    while todo:
        vertex = todo.pop()
        if vertex not in found:
            found.add(vertex)
            todo += inputs(graph.vertices[vertex])
    return sorted(found)


def _fields(first: Built, second: Built) -> tuple[str, ...]:
    found: set[str] = set()
    for image, again in zip(first.images, second.images, strict=True):
        one, other = image.config.document(), again.config.document()
        found.update(name for name in {*one, *other} if one.get(name) != other.get(name))
    return tuple(sorted(found))
