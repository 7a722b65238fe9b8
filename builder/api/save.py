"""Images of the store into one archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from builder.api.outgoing import outgoing, whole
from builder.api.session import Session
from builder.digest import Digest
from builder.errors import PybuildError
from builder.export.base import Export, ExportImage, ExportIndex
from builder.export.select import Output
from builder.image.reference import Reference


def save(
    session: Session,
    images: Sequence[str],
    kind: str,
    destination: str,
    options: Mapping[str, str],
    platform: str = "",
) -> None:
    """Write images to one archive of a `kind` of --output; `-` is standard output.

    Of an index all of it, or the image for `platform`; a docker archive has but one image of it. Each has the
    names it was asked for by; those asked for by ID have all theirs. Raises NotFoundError, UsageError.
    """
    chosen = Output(kind, destination, options)
    chosen.check()
    with session.store.leases.working():
        found: dict[Digest, ExportImage | ExportIndex] = {}
        for text in images:
            each = _one(session, text, kind, platform)
            key = Digest.of(each.data or b"")
            if key in found:
                each = replace(each, names=tuple(dict.fromkeys((*found[key].names, *each.names))))
            found[key] = each
        chosen.write(
            Export(
                tuple(each for each in found.values() if isinstance(each, ExportImage)),
                session.store,
                session.launcher,
                tuple(each for each in found.values() if isinstance(each, ExportIndex)),
            )
        )


def _one(session: Session, text: str, kind: str, platform: str) -> ExportImage | ExportIndex:
    names = _names(session, text)
    if kind == "docker" and not platform and session.store.images.index_of(text) is not None:
        text = str(session.store.images.find(text).manifest.digest)
    return whole(session, outgoing(session, text, names, platform))


def _names(session: Session, text: str) -> tuple[Reference, ...]:
    """The name `text` is, or all names of what has the ID `text`."""
    image = session.store.images.named(text)
    if image is None:
        return ()  # whoever looks for it will say so
    try:
        name = Reference.parse(text)
    except PybuildError:
        name = None
    if name is not None and name.digest is None and name.tagged().familiar() in image.names:
        return (name.tagged(),)
    return tuple(map(Reference.parse, image.names))
