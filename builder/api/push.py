"""Images of the store to registries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from builder.api.keys import signing_key
from builder.api.session import Session
from builder.errors import NotFoundError, UsageError
from builder.image.reference import Reference
from builder.linux.files import write_atomically

if TYPE_CHECKING:
    from builder.export.registry import Pushed


def push(
    session: Session,
    texts: Sequence[str],
    tell: Callable[[str], object],
    options: Mapping[str, str],
    *,
    all_tags: bool = False,
    platform: str = "",
    digestfile: str | None = None,
    sign_key: str | None = None,
) -> list[Pushed]:
    """Push images by their names, or `all_tags` of repositories; `tell` gets lines as `docker push` prints them.

    `options` are those of --output that give images another form. `platform`: of an index the image for that. The
    digests of what was pushed go to `digestfile`, one a line. `sign_key`: it is signed with the key in that file.
    Raises NotFoundError, UsageError, RegistryError, and BadInputError for a file that is no key.
    """
    names = [name for text in texts for name in (_tags(session, text) if all_tags else [named(text)])]
    pairs = [(str(name), name) for name in dict.fromkeys(names)]
    return push_as(session, pairs, tell, options, platform=platform, digestfile=digestfile, sign_key=sign_key)


def push_as(
    session: Session,
    pairs: Sequence[tuple[str, Reference]],
    tell: Callable[[str], object],
    options: Mapping[str, str],
    *,
    platform: str = "",
    digestfile: str | None = None,
    sign_key: str | None = None,
) -> list[Pushed]:
    """Push what is called so here, each by another name or the same; as `push`."""
    # lazy: HTTP, and what compresses
    from builder.api.outgoing import outgoing
    from builder.export.base import Export, ExportImage, ExportIndex
    from builder.export.registry import PushOptions, Watch
    from builder.export.registry import push as push_export

    asked, sign = PushOptions.parse(options), signing_key(sign_key)
    with session.store.leases.working():
        found = [outgoing(session, text, (name,), platform) for text, name in pairs]
        export = Export(
            tuple(each for each in found if isinstance(each, ExportImage)),
            session.store,
            session.launcher,
            tuple(each for each in found if isinstance(each, ExportIndex)),
            sign=sign,
        )
        pushed = push_export(export, session.registries, asked, Watch(session.emit, tell))
    if digestfile is not None:
        digests = dict.fromkeys(str(each.descriptor.digest) for each in pushed)
        try:
            write_atomically(digestfile, "\n".join(digests).encode())
        except OSError as error:
            raise UsageError(f"--digestfile {digestfile}: {error.strerror}") from error
    return pushed


def named(text: str) -> Reference:
    """The tag to push. Raises UsageError for a digest: what has one is what it is."""
    name = Reference.parse(text)
    if name.digest is not None:
        raise UsageError(
            f"{text} has a digest: what is pushed is given a tag", hint="pybuild tag gives an image a name"
        )
    return name.tagged()


def _tags(session: Session, text: str) -> list[Reference]:
    """All names the store has in a repository. Raises NotFoundError when there is none."""
    wanted = Reference.parse(text)
    if wanted.tag is not None or wanted.digest is not None:
        raise UsageError(f"{text}: --all-tags takes a repository, without a tag", hint=f"for example {wanted.path}")
    images = session.store.images
    known = [name for image in images.all() for name in image.names]
    known += [name for index in images.indexes() for name in index.names]
    names = list(map(Reference.parse, known))
    found = sorted(name for name in names if (name.domain, name.path) == (wanted.domain, wanted.path))
    if not found:
        raise NotFoundError(f"no image is called {text}", hint="pybuild images lists what there is")
    return found
