"""Images fetched from registries on request."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from builder.api.session import Session, platform_of
from builder.digest import Digest
from builder.errors import NotFoundError, UsageError
from builder.events import Warned
from builder.image.reference import Reference
from builder.store.catalog import digest_of
from builder.store.images import StoredImage


class Fetched(Struct, frozen=True):
    """What a pull gave: the name, the digest it stands for in the registry, the image, whether the name was not its."""

    reference: Reference
    digest: Digest
    image: StoredImage
    new: bool


def pull(
    session: Session, reference: Reference, platform: str = "", tell: Callable[[Digest, str], None] | None = None
) -> Fetched:
    """Fetch the image `reference`; `tell` gets each layer's blob and what becomes of it, from any thread.

    `platform` is as a user writes it, empty for this machine's. Raises NotFoundError, RegistryError, BadInputError.
    """
    # lazy: most commands reach no registry
    from builder.sources.pull import pull as fetch

    wanted, named = platform_of(platform), reference.tagged()
    with session.store.leases.working():
        before = session.store.images.named(str(named))
        pulled = fetch(named, wanted, session.ingest, session.emit, tell=tell or (lambda blob, state: None))
        made_for = session.store.images.config(pulled.image).platform
        if made_for.normal() not in set(wanted.accepted()):
            session.emit(Warned(f"{named.familiar()} is made for {made_for}, not for {wanted}"))
        after = session.store.images.named(str(named)) or pulled.image
    return Fetched(named, pulled.named, pulled.image, before is None or digest_of(before) != digest_of(after))


def tags(session: Session, text: str) -> list[Reference]:
    """All tags of the repository `text`, as references. Raises UsageError when `text` has a tag or a digest itself."""
    # lazy: as above
    from builder.registry.tags import tags as listed

    repository = Reference.parse(text)
    if repository.tag or repository.digest:
        raise UsageError(f"{text} names one image, and --all-tags wants all", hint="leave its tag or digest out")
    with session.registries.repository(repository) as opened:
        found = [Reference.parse(f"{repository}:{tag}") for tag in listed(opened)]
    if not found:
        raise NotFoundError(f"{repository.familiar()} has no tags")
    return found
