"""Images of the store: in, out, named, shown, removed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from msgspec.structs import replace

from builder.api.session import Session
from builder.errors import BadInputError, NotFoundError, PybuildError, UsageError
from builder.graph.scope import parse_epoch
from builder.image.platform import Platform, host
from builder.image.reference import Reference
from builder.store.catalog import StoredImage
from builder.store.catalog import identity as identity
from builder.store.indexes import StoredIndex
from builder.views.history import HistoryRow as HistoryRow
from builder.views.history import history as history_rows
from builder.views.images import Facts, Listed, index_rows, inspected, inspected_index
from builder.views.images import ImageRow as ImageRow
from builder.views.images import rows as image_rows


def import_rootfs(session: Session, path: str, name: str, epoch: str = "") -> StoredImage:
    """Make an image of the tar of a root file system; `-` is standard input. `epoch` is when it was made, or empty."""
    reference, created = Reference.parse(name).tagged(), parse_epoch(epoch) if epoch else None
    with session.store.leases.working(), _opened(path) as file:
        return session.ingest.rootfs(file, host(), reference, f"pybuild import {path}", created=created)


def import_from_host(session: Session, programs: Sequence[str], name: str) -> StoredImage:
    """Make an image of programs of this machine and what they need."""
    # lazy: pyelftools
    import tempfile

    from builder.sources import hostbase

    reference = Reference.parse(name).tagged()
    with session.store.leases.working(), tempfile.TemporaryFile(dir=session.store.root / "tmp") as tar:
        hostbase.write_rootfs(programs, tar)
        tar.seek(0)
        created_by = f"pybuild import --from-host {','.join(programs)}"
        return session.ingest.rootfs(tar, host(), reference, created_by, hostbase.config())


def load(session: Session, path: str, platform: str = "") -> list[StoredImage | StoredIndex]:
    """Take in the images of an archive or of an OCI layout directory; `-` is an archive on standard input.

    Of indexes only those for `platform`.
    """
    # lazy: only for this
    from builder.api.archives import opened
    from builder.sources import layout

    with session.store.leases.working(), opened(session, path) as files:
        return layout.load(files, Platform.parse(platform) if platform else None, session.ingest)


def images(session: Session, filters: Sequence[str] = ()) -> list[ImageRow]:
    """A row for each image and name, newest first; only those that `filters`, KEY=VALUE each, let through.

    Keys: views/filters, IMAGES. Raises UsageError.
    """
    known = session.store.images
    indexes, everything = known.indexes(), known.all()  # in this order: all that an index then has is there
    published = session.store.elsewhere.all_digests()
    listed = {each.image.manifest.digest: each for each in _listed(session, everything, published)}
    rows = [
        (each.image.added, image_rows(each))
        for each in listed.values()
        if each.image.names or not known.within(each.image)
    ]
    for index in indexes:
        with _unless_removed(session, index):
            members = (member.manifest.digest for member in known.members(index))
            here = [listed[digest] for digest in members if digest in listed]
            rows.append((index.added, index_rows(index, here, published.get(index.descriptor.digest.hex, ()))))
    found = [row for _, each in sorted(rows, key=lambda pair: -pair[0]) for row in each]
    if not filters:
        return found
    # lazy: it knows of containers, too
    from builder.api import chosen

    return chosen.images(session, filters, found)


def _listed(
    session: Session, images: Sequence[StoredImage], published: Mapping[str, Sequence[str]]
) -> Iterator[Listed]:
    """Each of `images`, found by a few queries for all. Raises NotFoundError or BadInputError for a damaged one."""
    known = session.store.images
    facts, sizes = known.facts(images), {layer.diff_id: layer.size for layer in session.store.layers.all()}
    for image in images:
        digest = image.manifest.digest
        with _unless_removed(session, image):
            told = facts[digest] if digest in facts else known.read_facts(image)
            if not all(diff_id in sizes for diff_id in told.diff_ids):
                sizes |= {layer.diff_id: layer.size for layer in known.layers(digest)}
            layers = tuple((diff_id, sizes[diff_id]) for diff_id in told.diff_ids)
            yield Listed(image, told.created, told.platform, layers, published.get(digest.hex, ()))


@contextmanager
def _unless_removed(session: Session, image: StoredImage | StoredIndex) -> Iterator[None]:
    """What is not there, or damaged, is no error in what was removed just now."""
    try:
        yield
    except (NotFoundError, BadInputError):
        if session.store.images.has(image):
            raise


def inspect(session: Session, text: str, platform: str = "") -> dict[str, Any]:
    """All that is known of an image; of an index that for `platform`, with what the index names."""
    known, wanted = session.store.images, Platform.parse(platform) if platform else None
    found = known.named(text)
    if not isinstance(found, StoredIndex):
        alone = _facts(session, known.find(text, wanted))
        return inspected(replace(alone, image=replace(alone.image, names=known.shown(alone.image))))
    members = known.members(found)
    image = known.find(text, wanted) if platform or any(m.image is not None for m in members) else None
    facts = None if image is None else _facts(session, image)
    published = session.store.elsewhere.digests(found.descriptor.digest)
    return inspected_index(found, known.document(found).manifests, members, facts, published)


def history(session: Session, text: str, platform: str = "") -> tuple[str, list[HistoryRow]]:
    """An image's ID and the steps an image was made by, newest first; of an index that for `platform`."""
    # lazy: it knows of graphs and what solves them, which no other of these asks for
    from builder.solve.result import places_of

    facts = _facts(session, session.store.images.find(text, Platform.parse(platform) if platform else None))
    places = places_of(session.store, facts.image.config, len(facts.config.history))
    return str(facts.image.config), history_rows(facts.config, facts.layers, places)


def tag(session: Session, text: str, name: str) -> None:
    """Give an image or an index another name."""
    session.store.images.tag(_found(session, text), Reference.parse(name).tagged())


def untag(
    session: Session, texts: Sequence[str], *, force: bool = False, tell: Callable[[str], object] = lambda _: None
) -> None:
    """Take names away, and images that have none left; `tell` gets a line for each thing done, as `docker rmi` prints.

    With an index go the images that only it has. Raises NotFoundError for what is not there, UsageError for an image
    of several names, of an index or of a container that is asked for by its ID, unless `force`.
    """
    lines: list[str] = []
    error: PybuildError | None = None
    with session.store.images.changing():  # once for all: index.json is written whole
        try:
            for text in texts:
                lines += _remove_one(session, text, force=force)
        except PybuildError as found:  # what was done before stays done
            error = found
    for line in lines:
        tell(line)
    # lazy: it knows of snapshots and of what takes them away, which is a third of the start of `pybuild images`
    from builder.api.gc import collected

    collected(session)
    if error is not None:
        raise error


def _remove_one(session: Session, text: str, *, force: bool) -> Iterator[str]:
    images = session.store.images
    image = _found(session, text)
    image = images.standing_for(image) if isinstance(image, StoredImage) else image
    within = [] if isinstance(image, StoredIndex) else images.within(image)
    named = _familiar(text) in image.names
    if named and (len(image.names) > 1 or within):
        images.untag(Reference.parse(text))
        return iter((f"Untagged: {_familiar(text)}",))
    if not named and len(image.names) > 1 and not force:
        raise UsageError(f"{text} has several names: {', '.join(image.names)}", hint="name one of them, or use --force")
    if within and not force:
        called = next(iter(within[0].names), str(within[0].descriptor.digest))
        raise UsageError(f"{text} is one of the images of {called}", hint=f"remove {called}, or use --force")
    going = [image] if isinstance(image, StoredImage) else images.only_in(image)
    ids = {str(each.config) for each in going}
    # lazy: as above
    from builder.runtime.containers import Containers

    users = [c for c in Containers(session.store.root).all() if c.image_id in ids]
    if users and not force:
        raise UsageError(
            f"{text} is used by container {users[0].name}", hint=f"pybuild rm {users[0].name}, or use --force"
        )
    images.remove(image)
    gone = dict.fromkeys((identity(image), *(each.config for each in going)))
    return iter((*(f"Untagged: {name}" for name in image.names), *(f"Deleted: {each}" for each in gone)))


def _found(session: Session, text: str) -> StoredImage | StoredIndex:
    found = session.store.images.named(text)
    return session.store.images.find(text) if found is None else found


def _familiar(text: str) -> str:
    try:
        return Reference.parse(text).tagged().familiar()
    except UsageError:
        return text


def _facts(session: Session, image: StoredImage) -> Facts:
    digest = image.manifest.digest
    published = tuple(session.store.elsewhere.digests(digest))
    return Facts(image, session.store.images.config(image), session.store.images.layers(digest), published)


@contextmanager
def _opened(path: str) -> Iterator[IO[bytes]]:
    if path == "-":
        if sys.stdin.isatty():
            raise UsageError("an archive is not read from a terminal", hint="name a file, or redirect the input")
        yield sys.stdin.buffer
        return
    try:
        with Path(path).open("rb") as file:
            yield file
    except FileNotFoundError as error:
        if error.filename == path:
            raise NotFoundError(f"{path} does not exist") from error
        raise
    except (IsADirectoryError, PermissionError) as error:
        if error.filename == path:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from error
        raise
