"""`Store`: the directory everything is kept in, opened as the bundle of its parts.

    <root>/oci-layout, index.json     an OCI image layout: skopeo reads it in place
    <root>/blobs/sha256/              manifests, configs, layers                        store/blobs
    <root>/pybuild.db                 records, images, names, stat index, file lists     store/db and its tables
    <root>/snapshots/                 unpacked layers, lower dirs of overlayfs          snapshots/
    <root>/cachemounts/               directories that outlive builds                   snapshots/cachemounts
    <root>/containers/                containers that were kept                         runtime/
    <root>/logs/                      the last steps' output                            solve/log, solve/journal
    <root>/failed/                    what failed steps left                            solve/failed
    <root>/filters/                   compiled seccomp filters                          sandbox/seccomp
    <root>/network.json               which program makes networks for steps here       sandbox/network/probe
    <root>/locks/                     one builder a key, leases, garbage collection     store/locks, store/leases
    <root>/tmp/                       what is being made; swept when its maker is gone

Objects appear by rename only. The directory is its owner's alone: snapshots hold setuid programs.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from builder.digest import Digest
from builder.errors import StoreError
from builder.image.descriptor import Layer
from builder.linux.files import write_atomically
from builder.store.blobs import Blobs, store_errors
from builder.store.db import Database
from builder.store.images import Images
from builder.store.layers import LayerTable
from builder.store.leases import Leases
from builder.store.memo import Memo
from builder.store.records import Records
from builder.store.stats import StatTable

if TYPE_CHECKING:
    from builder.store.evictions import Evictions
    from builder.store.listings import Listings

_DIRECTORIES = ("blobs/sha256", "snapshots", "containers", "logs", "locks", "tmp")
FILTERS, FAILED, NETWORK = "filters", "failed", "network.json"
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


def default_root() -> Path:
    """`$PYBUILD_ROOT`; else /var/lib/pybuild for root, and the XDG data directory for others."""
    chosen = os.environ.get("PYBUILD_ROOT")
    if chosen:
        return Path(chosen)
    if os.geteuid() == 0:
        return Path("/var/lib/pybuild")
    data = os.environ.get("XDG_DATA_HOME", "")
    # XDG base directory specification: a relative path there is to be ignored
    return (Path(data) if data.startswith("/") else Path.home() / ".local/share") / "pybuild"


def called(root: Path) -> str:
    """How pybuild is called on the store at `root`, for hints."""
    return "pybuild" if os.path.abspath(default_root()) == str(root) else f"pybuild --root {root}"


class Store:
    """An open store."""

    def __init__(self, root: Path, db: Database) -> None:
        self.root = root
        self.leases = Leases(root)
        self.blobs = Blobs(root, self.leases)
        self.layers = LayerTable(db)
        self.records = Records(db)
        self.images = Images(root, db, self.blobs, self.layers, self.leases)
        self.stats = StatTable(db)
        self.memo = Memo(db)
        self.db = db

    @classmethod
    def open(cls, root: Path | None = None) -> Store:
        """Open the store at `root`, made when it is missing. Raises StoreError."""
        path = Path(os.path.abspath(root or default_root()))
        with store_errors(path):
            if not (path / "index.json").exists():
                _make(path)
        return cls(path, Database(path / "pybuild.db"))

    def layer(self, diff_id: Digest) -> Layer | None:
        """The layer, if it and its blob are here; if so it stays, as Leases.use says."""
        self.leases.use([diff_id])
        found = self.layers.get(diff_id)
        return found if found is not None and self.blobs.holds(found.blob) else None

    @property
    def evictions(self) -> Evictions:
        """Which records were removed, and when."""
        # lazy: a cached build evicts nothing
        from builder.store.evictions import Evictions

        return Evictions(self.db)

    @property
    def listings(self) -> Listings:
        """The lists of files that keys are made of."""
        # lazy: a cached build lists nothing anew
        from builder.store.listings import Listings

        return Listings(self.db)

    def close(self) -> None:
        """End the store's connection."""
        self.db.close()


def _make(root: Path) -> None:
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        # What another process that makes it right now has written so far is not strange.
        strange = [p.name for p in root.iterdir() if not p.name.startswith(("oci-layout.", "lost+found"))]
        if strange and not (root / "oci-layout").exists():
            raise StoreError(f"{root} is not empty and no store", hint="choose an empty or a new directory: --root DIR")
        if not (root / "oci-layout").exists():
            write_atomically(f"{root}/oci-layout", _LAYOUT)
        for name in _DIRECTORIES:
            (root / name).mkdir(parents=True, exist_ok=True)
        # Last: a store with an index is whole.
        if not (root / "index.json").exists():
            write_atomically(f"{root}/index.json", b'{"schemaVersion":2,"manifests":[]}')
    except (FileExistsError, NotADirectoryError) as error:
        raise StoreError(
            f"the store cannot be in {root}: {error.strerror}", hint="use another directory: --root DIR"
        ) from error
    except PermissionError as error:
        raise StoreError(
            f"the store cannot be made in {root}: {error.strerror}", hint="use another directory: --root DIR"
        ) from error
