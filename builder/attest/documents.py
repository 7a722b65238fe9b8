"""Inventories as documents, by the name of their format; and as a table for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from builder.attest.inventory import Inventory
from builder.attest.subject import Subject
from builder.errors import UsageError
from builder.image import attestation

SPDX, CYCLONEDX = "spdx", "cyclonedx"
# The format's name → its in-toto predicate type.
FORMATS: Mapping[str, str] = {SPDX: attestation.SPDX, CYCLONEDX: attestation.CYCLONEDX}


def writer(form: str) -> Callable[[Inventory, Subject], dict[str, Any]]:
    """What makes documents of a format of FORMATS. Raises UsageError when what it needs is not installed."""
    try:
        # lazy: each takes 0.2 s
        if form == SPDX:
            from builder.attest.spdx import document as made
        else:
            from builder.attest.cyclonedx import document as made
    except ModuleNotFoundError as error:
        raise UsageError(
            f"what writes lists of packages is not installed ({error.name})", hint="pip install 'pybuild[sbom]'"
        ) from error
    return made


def document(form: str, inventory: Inventory, subject: Subject) -> dict[str, Any]:
    """The inventory as a document of FORMATS. Raises UsageError, see `writer`."""
    return writer(form)(inventory, subject)
