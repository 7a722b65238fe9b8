"""A shared cache in a directory: an OCI image layout, for machines that share a disk and for CI services.

    <directory>/index.json         names the index of each cache by its tag
    <directory>/blobs/sha256/      all else
    <directory>/.pybuild-users     locked, shared, by who reads or writes: nothing is cleared away meanwhile
    <directory>/.pybuild-index     locked by who replaces index.json

Any number of processes may read and write at once. What no index names any more is removed by the last that writes.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import msgspec

from builder.digest import Digest, Reader, VerifyingReader
from builder.errors import BadInputError, NotFoundError, PybuildError
from builder.image.descriptor import Descriptor
from builder.image.manifest import LARGEST, Index, IndexEntry, parse
from builder.image.mediatypes import REF_NAME
from builder.linux.files import TEMPORARY, write_atomically
from builder.linux.locks import abandoned, create_locked, locked_directory, open_locked
from builder.linux.syscalls import sync_file_system
from builder.points import point
from builder.readied import readied
from builder.remotecache import document
from builder.store.open import refuse_all_but_layouts

_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_CHUNK = 1 << 20


class Directory:
    """The cache `tag` in the layout at `path`. To be written, it is made when it is missing. A Place."""

    def __init__(self, path: str, tag: str, *, write: bool) -> None:
        """Raises UsageError for a directory that is anything else, PybuildError where it cannot be written."""
        self._path, self._tag, self._write = Path(path).resolve(), tag, write
        if write:
            self._make()
        self._users = self._use()

    @property
    def name(self) -> str:
        """The directory, and the tag unless that is the usual one."""
        return str(self._path) if self._tag == "latest" else f"{self._path}:{self._tag}"

    def read(self) -> tuple[bytes, str] | None:
        """The index of this cache."""
        entry = next((e for e in self._index() if _tag(e) == self._tag), None)
        if entry is None:
            return None
        data = self.manifest(entry.descriptor.digest)
        return data, entry.descriptor.media_type

    def manifest(self, digest: Digest) -> bytes:
        """A manifest."""
        with self._opened(digest) as file:
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST or Digest.of(data) != digest:
            raise BadInputError(f"manifest {digest} in {self._path} is damaged")
        return data

    @contextmanager
    def blob(self, descriptor: Descriptor) -> Iterator[Reader]:
        """A blob."""
        with self._opened(descriptor.digest) as file:
            yield VerifyingReader(file, descriptor.digest, descriptor.size)

    def has(self, descriptor: Descriptor) -> bool:
        """Whether a blob is there with the size it must have."""
        try:
            return self._blob(descriptor.digest).stat().st_size == descriptor.size
        except OSError:
            return False

    def put(self, descriptor: Descriptor, opened: Callable[[], AbstractContextManager[Reader]]) -> None:
        """Put a blob. One that is damaged is replaced: who makes a layer anew may do so because of that."""
        if self.has(descriptor) and self._sound(descriptor):
            return
        with opened() as source, self._written(descriptor.digest) as file:
            while data := source.read(_CHUNK):
                file.write(data)

    def _sound(self, descriptor: Descriptor) -> bool:
        try:
            with self.blob(descriptor) as reader:
                while reader.read(_CHUNK):
                    pass
        except PybuildError:
            return False
        return True

    def put_manifest(self, data: bytes, media_type: str) -> None:
        """Put a manifest."""
        digest = Digest.of(data)
        if not self.has(Descriptor(media_type, digest, len(data))):
            with self._written(digest) as file:
                file.write(data)

    def point(self, data: bytes, media_type: str, instead: Digest | None, *, force: bool = False) -> bool:
        """Name the index `data` by the tag."""
        digest = Digest.of(data)
        with self._errors(), open_locked(self._path / ".pybuild-index"):
            index = self._index()
            now = next((e.descriptor.digest for e in index if _tag(e) == self._tag), None)
            if now != instead and not force:
                return False
            self.put_manifest(data, media_type)
            fd = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                sync_file_system(fd)  # what the index names must be there after a power cut
            finally:
                os.close(fd)
            named = IndexEntry(Descriptor(media_type, digest, len(data), ((REF_NAME, self._tag),)))
            others = [e for e in index if _tag(e) != self._tag]
            point("cache:pointing")
            write_atomically(f"{self._path}/index.json", Index((*others, named)).to_json())
        return True

    def cancel(self) -> None:
        """A disk keeps nobody waiting for long."""

    def close(self) -> None:
        """Let others clear away what nothing names; who has written does, when nobody else is there."""
        if self._users is None:
            return
        try:
            if self._write:
                with suppress(OSError, PybuildError):
                    fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    self._clear()
        finally:
            os.close(self._users)
            self._users = None

    # --- its files -----------------------------------------------------------------------------------

    def _make(self) -> None:
        path = self._path
        with self._errors():
            path.mkdir(parents=True, exist_ok=True)
            with locked_directory(path):  # half made by another, it is neither empty nor a layout
                refuse_all_but_layouts(str(path))
                if not (path / "oci-layout").exists():
                    write_atomically(f"{path}/oci-layout", _LAYOUT)
            (path / "blobs/sha256").mkdir(parents=True, exist_ok=True)

    def _use(self) -> int | None:
        """A descriptor that says that this process is there; None where nothing can be locked, or nothing is."""
        flags = os.O_RDWR | os.O_CREAT if self._write else os.O_RDONLY
        try:
            fd = os.open(f"{self._path}/.pybuild-users", flags | os.O_CLOEXEC, 0o644)
        except OSError:
            return None
        fcntl.flock(fd, fcntl.LOCK_SH)
        return fd

    def _index(self) -> list[IndexEntry]:
        try:
            with (self._path / "index.json").open("rb") as file:
                data = file.read(LARGEST + 1)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise PybuildError(f"cannot read {self._path}: {error.strerror}") from error
        found = parse(data)
        if not isinstance(found, Index):
            raise BadInputError(f"index.json in {self._path} is no index")
        return list(found.manifests)

    def _blob(self, digest: Digest) -> Path:
        return self._path / "blobs/sha256" / digest.hex

    @contextmanager
    def _opened(self, digest: Digest) -> Iterator[Reader]:
        try:
            fd = os.open(self._blob(digest), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFoundError(f"{self._path} has no blob {digest}") from None
        except OSError as error:
            raise PybuildError(f"cannot read {self._path}: {error.strerror}") from error
        with os.fdopen(fd, "rb", buffering=0) as file:
            yield _File(file, str(self._path))

    @contextmanager
    def _written(self, digest: Digest) -> Iterator[_Writer]:
        path = Path(f"{self._blob(digest)}.{os.urandom(8).hex()}{TEMPORARY}")
        with self._errors():
            fd = create_locked(path)
            try:
                yield _Writer(fd)
                path.rename(self._blob(digest))
            finally:
                path.unlink(missing_ok=True)
                os.close(fd)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise PybuildError(f"cannot write {self._path}: {error.strerror}") from error

    def _clear(self) -> None:
        """Remove what no cache of the layout names any more. What others have put there may name anything."""
        kept: set[str] = set()
        for entry in self._index():
            data = self.manifest(entry.descriptor.digest)
            if not document.is_cache(data):
                return
            kept.add(entry.descriptor.digest.hex)
            for manifest in _named(data):
                kept |= {manifest.hex, *(blob.hex for blob in _named(self.manifest(manifest)))}
        directory = self._path / "blobs/sha256"
        for left in abandoned(directory, f"*{TEMPORARY}"):
            left.unlink(missing_ok=True)
        for blob in directory.iterdir():
            if blob.name not in kept and blob.suffix != TEMPORARY:
                blob.unlink()


class _Writer:
    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]


class _File:
    """A file whose errors are ours."""

    def __init__(self, file: Reader, path: str) -> None:
        self._file, self._path = file, path

    def read(self, size: int = -1) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:
            raise PybuildError(f"cannot read {self._path}: {error.strerror}") from error


def _tag(entry: IndexEntry) -> str:
    return dict(entry.descriptor.annotations).get(REF_NAME, "")


class _Part(msgspec.Struct):
    digest: str


class _Names(msgspec.Struct):
    manifests: list[_Part] = []
    config: _Part | None = None
    layers: list[_Part] = []


def _named(data: bytes) -> list[Digest]:
    """The digests that an index or a manifest names. Raises BadInputError."""
    try:
        found = msgspec.json.decode(data, type=readied(_Names))
    except msgspec.MsgspecError as error:
        raise BadInputError(f"a manifest cannot be read: {error}") from error
    return [Digest.parse(part.digest) for part in (*found.manifests, *found.layers, *filter(None, [found.config]))]
