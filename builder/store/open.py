"""`Store`: the directory everything is kept in, opened as the bundle of its parts.

    <root>/oci-layout, index.json     an OCI image layout: skopeo reads it in place
    <root>/blobs/sha256/              manifests, configs, layers                        store/blobs
    <root>/pybuild.db                 records, images, names, stat index, answers       store/db and its tables
    <root>/snapshots/                 unpacked layers, lower dirs of overlayfs          snapshots/
    <root>/copies/                    what COPY steps made last                         snapshots/copies
    <root>/cachemounts/               directories that outlive builds                   snapshots/cachemounts
    <root>/containers/                containers that were kept                         runtime/
    <root>/logs/                      the last steps' output                            solve/log, solve/journal
    <root>/failed/                    what failed steps left                            solve/failed
    <root>/filters/                   compiled seccomp filters                          sandbox/seccomp
    <root>/local.key                  what marks values of secrets that keys depend on      store/localkey
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
from builder.errors import DamagedError, StoreError, UsageError
from builder.image.descriptor import Layer
from builder.linux.files import TEMPORARY, write_atomically
from builder.linux.locks import abandoned
from builder.points import point
from builder.store.blobs import Blobs, store_errors
from builder.store.db import MEND, Database
from builder.store.images import Images
from builder.store.layers import LayerTable
from builder.store.leases import Leases
from builder.store.memo import Memo
from builder.store.place import check_files, check_locks, check_place
from builder.store.records import Records
from builder.store.root import default_path
from builder.store.stats import StatTable

if TYPE_CHECKING:
    from builder.store.answertable import AnswerTable
    from builder.store.compressed import CompressedTable
    from builder.store.elsewhere import Elsewhere
    from builder.store.evictions import Evictions
    from builder.store.listings import Listings

_DIRECTORIES = ("blobs/sha256", "snapshots", "containers", "logs", "locks", "tmp")
FILTERS, FAILED, NETWORK, LOCAL_KEY = "filters", "failed", "network.json", "local.key"
_DATABASE = "pybuild.db"
# A store that has these is whole; the last is made last.
_NEEDED = ("oci-layout", *_DIRECTORIES, "index.json")
_EMPTY_INDEX = b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'


def default_root() -> Path:
    """As store/root says."""
    return Path(default_path())


def located(root: Path | None) -> Path:
    """The directory a user named, or the default one."""
    return Path(os.path.abspath(root or default_root()))


def called(root: Path) -> str:
    """How pybuild is called on the store at `root`, for hints."""
    return "pybuild" if os.path.abspath(default_root()) == str(root) else f"pybuild --root {root}"


def refuse_store(directory: str) -> None:
    """Raise UsageError for a directory that is a store, into which nobody else may write."""
    if os.path.exists(f"{directory}/{_DATABASE}"):
        raise UsageError(f"{directory} is a store", hint="name a new or an empty directory")


def refuse_all_but_layouts(directory: str) -> None:
    """As refuse_store, and for a directory that has something in it and is no image layout. Raises OSError, too."""
    if os.path.isdir(directory) and os.listdir(directory) and not os.path.exists(f"{directory}/oci-layout"):
        raise UsageError(f"{directory} is not empty and no image layout", hint="name a new or an empty directory")
    refuse_store(directory)


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
        path = located(root)
        with store_errors(path):
            whole = all(os.path.exists(f"{path}/{name}") for name in _NEEDED)
            if not whole:
                _make(path)
            check_place(path)
            store = cls(path, Database(path / _DATABASE, lambda: _check_new(path)))
        if not whole:
            store.images.index_file.publish()
        return store

    def layer(self, diff_id: Digest) -> Layer | None:
        """The layer, if it and its blob are here; if so it stays, as Leases.use says."""
        self.leases.use([diff_id])
        found = self.layers.get(diff_id)
        return found if found is not None and self.blobs.holds(found.blob) else None

    @property
    def answers(self) -> AnswerTable:
        """What whole builds came to."""
        # lazy: only for a build from the cache that is not known yet
        from builder.store.answertable import AnswerTable

        return AnswerTable(self.db)

    @property
    def evictions(self) -> Evictions:
        """Which records were removed, and when."""
        # lazy: a cached build evicts nothing
        from builder.store.evictions import Evictions

        return Evictions(self.db)

    @property
    def compressed(self) -> CompressedTable:
        """Which blobs layers are in other compressions."""
        # lazy: only for what leaves the store, and collection
        from builder.store.compressed import CompressedTable

        return CompressedTable(self.db)

    @property
    def elsewhere(self) -> Elsewhere:
        """What registries are known to have."""
        # lazy: only for what comes and goes, and collection
        from builder.store.elsewhere import Elsewhere

        return Elsewhere(self.db)

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
    """Make what is missing of a store, be it all."""
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        # What another process that makes it right now has written so far is not strange.
        there = {p.name for p in root.iterdir() if not p.name.startswith(("oci-layout.", "lost+found"))}
        if there and not there & {"oci-layout", _DATABASE}:
            raise StoreError(f"{root} is not empty and no store", hint="choose an empty or a new directory: --root DIR")
        if "index.json" in there and not there & {_DATABASE, "locks", "snapshots", "tmp"}:
            raise StoreError(
                f"{root} is an image layout of another program, no store",
                hint="choose an empty or a new directory: --root DIR",
            )
        check_place(root)
        if "oci-layout" not in there:
            write_atomically(f"{root}/oci-layout", _LAYOUT)
        for name in _DIRECTORIES:
            (root / name).mkdir(parents=True, exist_ok=True)
        # lazy: once in a store's life
        from builder.linux.filesystem import spread

        spread(f"{root}/tmp")  # where all trees are made
        check_files(root)
        point("store:directories")
        check_locks(root / "locks")
        # Last: a store with an index is whole.
        if not (root / "index.json").exists():
            write_atomically(f"{root}/index.json", _EMPTY_INDEX)
    except (FileExistsError, NotADirectoryError) as error:
        raise StoreError(
            f"the store cannot be in {root}: {error.strerror}", hint="use another directory: --root DIR"
        ) from error
    except PermissionError as error:
        raise StoreError(
            f"the store cannot be made in {root}: {error.strerror}", hint="use another directory: --root DIR"
        ) from error


def _check_new(root: Path) -> None:
    """Raises DamagedError where a database is about to be made that must have been there already."""
    # lazy: once in a store's life
    from builder.store.rebuild import documents_of

    count = len(documents_of(root)) if (root / "index.json").read_bytes() != _EMPTY_INDEX else 0
    if count:
        raise DamagedError(f"the database of the store in {root} is gone, which knew of {count} images", hint=MEND)


def sweep(root: Path) -> None:
    """Remove what crashed processes have left of files they were replacing, and of locks."""
    for pattern in (f"*{TEMPORARY}", f"containers/*/*{TEMPORARY}", f"cachemounts/*/*{TEMPORARY}", "locks/key-*"):
        for path in abandoned(root, pattern):
            path.unlink(missing_ok=True)
