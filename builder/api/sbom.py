"""What is in an image, as its package managers noted it down."""

from __future__ import annotations

from builder.api.session import Session, platform_of
from builder.attest.collect import inventory_of
from builder.attest.documents import document
from builder.attest.inventory import Inventory
from builder.attest.subject import Subject, subject_of
from builder.errors import NotFoundError, UsageError
from builder.image.reference import Reference
from builder.linux.files import write_atomically


def found(session: Session, text: str, platform: str = "") -> tuple[Inventory, Subject]:
    """The inventory of an image of the store. Raises NotFoundError, BadInputError."""
    with session.store.leases.working():
        claimed = session.store.images.claimed(text, platform_of(platform) if platform else None)
        if claimed is None:
            raise NotFoundError(f"no such image: {text}", hint="pybuild images lists what there is")
        image, config = claimed
        layers = session.store.images.layers(image.manifest.digest)
        names = tuple(Reference.parse(name) for name in image.names)
        # By the name it was asked for, when it has it: the same question gets the same document, whatever else it has.
        asked = tuple(name for name in names if name.familiar() == _familiar(text))
        inventory = inventory_of(session.launcher(), session.store.root, layers)
        return inventory, subject_of(image.config, config, asked or names)


def sbom(session: Session, text: str, form: str, platform: str = "") -> bytes:
    """A document of attest.documents.FORMATS about an image of the store, indented JSON."""
    # lazy: cheap, but only here
    import msgspec

    made = document(form, *found(session, text, platform))
    return msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n"


def written(path: str, data: bytes) -> None:
    """Put `data` into a file, whole or not at all. Raises UsageError."""
    try:
        write_atomically(path, data)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def _familiar(text: str) -> str:
    try:
        return Reference.parse(text).tagged().familiar()
    except UsageError:
        return text
