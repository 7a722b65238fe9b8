"""What registries are known to have of this store: blobs, so that they need not be sent again, and manifests, so that
an image is known here by the digest it was published under, too. Hints: who acts on them asks the registry.

Repositories are `domain/path`, as in Reference.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable

from builder.digest import Digest
from builder.image.reference import Reference, shortened
from builder.store.db import Database

# In place of a repository: the blob came from outside as it is, from wherever.
_RECEIVED = ""


class Elsewhere:
    """Blobs and manifests by repository."""

    def __init__(self, db: Database) -> None:
        self._db = db

    # --- blobs ---------------------------------------------------------------------------------

    def note_blobs(self, blobs: Iterable[Digest], repository: Reference) -> None:
        """These blobs are in a repository now."""
        self._note(blobs, repository_of(repository))

    def note_received(self, blobs: Iterable[Digest]) -> None:
        """These blobs belong to an image that was made elsewhere: it would be another one without them."""
        self._note(blobs, _RECEIVED)

    def received(self, blobs: Collection[Digest]) -> set[Digest]:
        """Those of `blobs` that were noted as received."""
        rows = self._db.rows("SELECT digest FROM elsewhere WHERE repository = ?", (_RECEIVED,))
        return {Digest(digest) for (digest,) in rows} & set(blobs)

    def beside(self, blob: Digest, repository: Reference) -> str | None:
        """The path of another repository of the same registry that has had the blob most lately, or None."""
        own, prefix = repository_of(repository), f"{repository.domain}/"
        row = self._db.row(
            "SELECT repository FROM elsewhere WHERE digest = ? AND repository != ? AND substr(repository, 1, ?) = ?"
            " ORDER BY seen DESC LIMIT 1",
            (blob.hex, own, len(prefix), prefix),
        )
        return None if row is None else str(row[0]).removeprefix(prefix)

    def forget(self, blobs: Iterable[Digest]) -> None:
        """Forget where blobs are that are gone from here, unless they can be made again. Only collection may."""
        self._db.execute_many(
            "DELETE FROM elsewhere WHERE digest = ? AND digest NOT IN (SELECT digest FROM compressed)",
            [(blob.hex,) for blob in blobs],
        )

    def _note(self, blobs: Iterable[Digest], repository: str) -> None:
        self._db.execute_optional(
            "INSERT OR REPLACE INTO elsewhere VALUES (?, ?, ?)",
            [(blob.hex, repository, time.time()) for blob in blobs],
        )

    # --- manifests and indexes -----------------------------------------------------------------

    def note_published(self, repository: Reference, digest: Digest, here: Digest) -> None:
        """A repository has what is `here` (the digest of its manifest or index), under `digest`."""
        self._db.execute_optional(
            "INSERT OR REPLACE INTO published VALUES (?, ?, ?)", [(digest.hex, repository_of(repository), here.hex)]
        )

    def published(self, repository: Reference, digest: Digest) -> Digest | None:
        """What is here of what a repository has under `digest`; it may be gone."""
        row = self._db.row(
            "SELECT here FROM published WHERE digest = ? AND repository = ?", (digest.hex, repository_of(repository))
        )
        return None if row is None else Digest(row[0])

    def published_as(self, repository: Reference, here: Digest) -> Digest | None:
        """What a repository has the image or index `here` under: one of them, where it has it in several compressions.

        None when it is not known to have it.
        """
        row = self._db.row(
            "SELECT digest FROM published WHERE here = ? AND repository = ? ORDER BY digest != here, digest LIMIT 1",
            (here.hex, repository_of(repository)),
        )
        return None if row is None else Digest(row[0])

    def digests(self, here: Digest) -> list[str]:
        """The digests an image or index is published under, as in `localhost:5000/app@sha256:…`."""
        rows = self._db.rows("SELECT repository, digest FROM published WHERE here = ? ORDER BY 1, 2", (here.hex,))
        return [f"{Reference.parse(repository).familiar()}@{Digest(digest)}" for repository, digest in rows]

    def all_digests(self) -> dict[str, list[str]]:
        """As `digests`, of every image and index by the digits of its own."""
        found: dict[str, list[str]] = {}
        for here, repository, digest in self._db.rows("SELECT here, repository, digest FROM published ORDER BY 2, 3"):
            found.setdefault(here, []).append(f"{shortened(repository)}@{Digest(digest)}")
        return found

    def forget_lost(self) -> None:
        """Forget what was published of images and indexes that are gone. Only collection may."""
        here = "SELECT manifest FROM images UNION ALL SELECT digest FROM indexes"
        self._db.execute(f"DELETE FROM published WHERE here NOT IN ({here})")


def repository_of(reference: Reference) -> str:
    """`domain/path`."""
    return f"{reference.domain}/{reference.path}"
