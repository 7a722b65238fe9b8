"""`--cache-from` and `--cache-to`: the caches of a build, opened when something is first asked of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from builder.api.session import Session
from builder.digest import Digest
from builder.errors import UsageError
from builder.image.reference import Reference
from builder.remotecache import patience, trust
from builder.remotecache.entries import Entry
from builder.remotecache.options import Source, Target, parse_from, parse_to
from builder.remotecache.place import Place
from builder.remotecache.reading import SharedCache
from builder.request import BuildRequest
from builder.solve.remote import Remote

if TYPE_CHECKING:
    from builder.remotecache.writing import Share
    from builder.solve.remotemounts import RemoteMounts


@contextmanager
def sharing(session: Session, request: BuildRequest) -> Iterator[Remote]:
    """The caches of `request`. Raises UsageError for what cannot be read of it, before anything else is done."""
    if request.paranoid and request.cache_from:
        raise UsageError(
            "--paranoid trusts nothing, and --cache-from is trust in who writes the cache",
            hint="leave one of them out",
        )
    sources = [parse_from(text) for text in request.cache_from]
    targets = [parse_to(text) for text in request.cache_to]
    caches = [_cache(session, source) for source in sources]
    remote = Remote(
        session.ingest,
        caches,
        [_share(session, target) for target in targets if not target.inline],
        mounts=_mounts(session, list(zip(caches, sources, strict=True)), targets),
        inline=any(target.inline for target in targets),
    )
    try:
        yield remote
    finally:
        remote.close()


def _cache(session: Session, source: Source) -> SharedCache:
    opened = _place(session, source.text, source.reference, source.directory, source.tag, write=False)
    check = trust.checking(source.key) if source.key else trust.unchecked
    return SharedCache(source.text, opened, session.emit, check, _inline)


def _inline(place: Place, data: bytes) -> dict[Digest, Entry]:
    # lazy: few caches lie in an image
    from builder.remotecache.inline import found

    return found(place, data)


def _mounts(
    session: Session, read: Sequence[tuple[SharedCache, Source]], written: Sequence[Target]
) -> RemoteMounts | None:
    if not any(source.mounts for _, source in read) and not any(target.mounts for target in written):
        return None
    # lazy: few builds carry cache mounts
    from builder.solve.remotemounts import RemoteMounts, Wanted

    wanted = [Wanted(cache, frozenset(source.mounts)) for cache, source in read]
    return RemoteMounts(session.store.root, session.launcher, session.emit, wanted)


def _share(session: Session, target: Target) -> Share:
    # lazy: most builds that share caches only read them
    from builder.remotecache.writing import Share

    opened = _place(session, target.text, target.reference, target.directory, target.tag, write=True)
    return Share(target, opened, session.emit, trust.keys(target.key))


def _place(
    session: Session, text: str, reference: Reference | None, directory: str, tag: str, *, write: bool
) -> Callable[[], Place]:
    if reference is None:
        return partial(_directory, directory, tag, write=write)
    return partial(_tag, session, reference, write=write)


def _directory(path: str, tag: str, *, write: bool) -> Place:
    # lazy: what this store has needs no other
    from builder.remotecache.local import Directory

    return Directory(path, tag, write=write)


def _tag(session: Session, reference: Reference, *, write: bool) -> Place:
    # lazy: HTTP takes 60 ms
    from builder.remotecache.inregistry import Hints, Tag

    known = session.store.elsewhere
    hints = Hints(partial(known.beside, repository=reference), lambda blob: known.note_blobs([blob], reference))
    return Tag(
        session.new_registries(patience.STALLED if write else patience.PATIENCE),
        reference,
        hints,
        session.emit,
        write=write,
    )
