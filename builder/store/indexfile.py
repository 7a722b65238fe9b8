"""index.json: what the store has, for other programs, written from the database whenever that says something else.

A row of the database counts its changes that index.json must tell, and keeps for which of them the file was written
last and what state the file then had. So a build that changes nothing neither makes the file's text nor reads it: with
5,000 images that took 1.4 s.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from builder.image.mediatypes import OCI_INDEX, REF_NAME
from builder.image.reference import shortened
from builder.linux.files import write_atomically
from builder.linux.locks import locked
from builder.store.blobs import store_errors
from builder.store.db import Database
from builder.store.stamp import stamp


class IndexFile:
    """The index.json of the store at `root`."""

    def __init__(self, root: Path, db: Database) -> None:
        self._root, self._db, self._path = root, db, f"{root}/index.json"

    def changed(self) -> None:
        """Note, within a transaction that changes images, indexes or their names, that the file is behind then."""
        self._db.execute("UPDATE index_file SET changes = changes + 1")

    def publish(self, *, anew: bool = False) -> None:
        """Write the file, unless it is known to say all that already; with `anew` it is read to know."""
        if not anew and self._is_current():
            return
        with store_errors(self._root), locked(self._root / "locks" / "index"):
            if not anew and self._is_current():  # another process has written meanwhile
                return
            # Before the text: what changes in between is then written once more.
            changes = self._known()[0]
            data = self.text()
            if self._read() != data:
                write_atomically(self._path, data, lasting=False)
            self._db.execute_optional("UPDATE index_file SET written = ?, state = ?", [(changes, stamp(self._path))])

    def text(self) -> bytes:
        """What the file must say: all that has a name, and what would not be found otherwise."""
        rows = self._db.rows(
            "SELECT r.name, i.manifest, i.media_type, i.size FROM"
            " (SELECT manifest, media_type, size FROM images UNION ALL SELECT digest, media_type, size FROM indexes) i"
            " LEFT JOIN refs r ON r.manifest = i.manifest"
            " WHERE r.name IS NOT NULL OR i.manifest NOT IN (SELECT manifest FROM index_entries)"
            " ORDER BY r.name, i.manifest"
        )
        manifests: list[dict[str, object]] = []
        for name, manifest, media_type, size in rows:
            # As descriptor_document writes it; by hand, for there may be thousands.
            entry = {"mediaType": media_type, "digest": f"sha256:{manifest}", "size": size}
            manifests.append(entry if name is None else {**entry, "annotations": {REF_NAME: shortened(name)}})
        return msgspec.json.encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests})

    def _is_current(self) -> bool:
        changes, written, state = self._known()
        return changes == written and state == stamp(self._path)

    def _known(self) -> tuple[int, int, str]:
        """How many changes there were, for how many of them the file was written, and its state then."""
        return self._db.row("SELECT changes, written, state FROM index_file") or (0, -1, "")

    def _read(self) -> bytes | None:
        try:
            return Path(self._path).read_bytes()
        except FileNotFoundError:
            return None
