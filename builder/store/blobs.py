"""Blobs by digest, as an OCI image layout keeps them (image-layout.md): written whole or not at all, read verified.

<root>/blobs/sha256/<hex>     a blob; never changed
<root>/tmp/blob-<random>      one being written; locked by its writer
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from builder import spans
from builder.digest import Digest, HashingWriter, Reader, VerifyingReader
from builder.errors import BadInputError, NotFoundError, StoreError
from builder.image.descriptor import Descriptor
from builder.linux.files import fsync_directory, write_all
from builder.linux.locks import abandoned, create_locked
from builder.linux.writeback import Writeback
from builder.points import point
from builder.store.leases import Leases

_CHUNK = 1 << 20
MEND = "pybuild cache verify --repair makes it anew if that can be, and else says what is lost with it"
NAME = re.compile(r"[0-9a-f]{64}")


@contextmanager
def store_errors(root: Path) -> Iterator[None]:
    """Turn the file system's refusals into errors that say what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(
                f"no space left for the store in {root}",
                hint="remove what is not needed (pybuild rmi IMAGE), or use another directory (--root DIR)",
            ) from error
        if error.errno == errno.EROFS:
            raise StoreError(f"the store in {root} is read-only", hint="use another directory: --root DIR") from error
        if error.errno == errno.EOPNOTSUPP:
            raise StoreError(
                f"the file system of the store in {root} cannot do what is needed: {error.strerror}",
                hint="use a directory on ext4, xfs, btrfs or tmpfs: --root DIR",
            ) from error
        if error.errno == errno.EIO:
            raise StoreError(
                f"the disk of the store in {root} does not work: {error.strerror}",
                hint="the kernel's log (dmesg) tells more; afterwards: pybuild cache verify",
            ) from error
        if error.errno == errno.EACCES and str(error.filename or "").startswith(str(root)):
            raise StoreError(
                f"the store in {root} may not be written by you", hint="use another directory: --root DIR"
            ) from error
        if error.errno == errno.ENAMETOOLONG:
            raise BadInputError(
                "a file lies too deep: its path is longer than the 4,095 bytes the kernel takes",
                hint="remove it in the step that makes it",
            ) from error
        raise


class Blobs:
    """The blobs of the store at `root`: a BlobSource and a BlobSink."""

    def __init__(self, root: Path, leases: Leases | None = None) -> None:
        self._root = root
        self._leases = leases or Leases(root)

    def path(self, digest: Digest) -> str:
        """Where a blob is, or would be."""
        return f"{self._root}/blobs/sha256/{digest.hex}"

    def has(self, digest: Digest) -> bool:
        """Whether the blob is there."""
        return os.path.exists(self.path(digest))

    def claimed(self, digest: Digest) -> bool:
        """Whether the blob is there; if so it stays, as Leases.use says."""
        self._leases.use([digest])
        return self.has(digest)

    def holds(self, descriptor: Descriptor) -> bool:
        """Whether the blob is there with the size it must have."""
        try:
            return os.stat(self.path(descriptor.digest)).st_size == descriptor.size
        except FileNotFoundError:
            return False

    def open(self, descriptor: Descriptor) -> VerifyingReader:
        """A reader of the blob. Raises NotFoundError when it is not there."""
        try:
            file = _File(self.path(descriptor.digest))
        except FileNotFoundError:
            raise NotFoundError(
                f"blob {descriptor.digest} is not in the store", hint="build, load or pull its image again"
            ) from None
        return VerifyingReader(file, descriptor.digest, descriptor.size, MEND)

    def read(self, descriptor: Descriptor) -> bytes:
        """A small blob whole, verified."""
        return self.open(descriptor).read()

    def put(self, source: Reader, expected: Digest | None = None) -> tuple[Digest, int]:
        """Keep what `source` holds; see BlobSink."""
        with store_errors(self._root), self.writer() as writer:
            hashing = HashingWriter(writer)
            while data := source.read(_CHUNK):
                hashing.write(data)
            digest = hashing.digest()
            if expected is not None and digest != expected:
                raise BadInputError(f"blob {expected} is damaged: its content hashes to {digest}")
            writer.commit(digest)
        return digest, hashing.size

    def put_bytes(self, data: bytes) -> Digest:
        """Keep `data`; costs no writing when it is there."""
        digest = Digest.of(data)
        if not self.claimed(digest):
            with store_errors(self._root), self.writer() as writer:
                writer.write(data)
                writer.commit(digest)
        return digest

    def settle(self) -> None:
        """Make the names of all blobs durable."""
        with store_errors(self._root):
            fsync_directory(f"{self._root}/blobs/sha256")

    def take(self, digest: Digest) -> Path | None:
        """Take a blob out of sight; gives the file to unlink, None where there was no blob.

        Only collection may, and who found that it is damaged.

        Letting go of a large file takes time, and who waits for the collection need not wait for that. What a crash
        leaves is swept as what a writer left.
        """
        doomed = Path(f"{self._root}/tmp/blob-{os.urandom(8).hex()}")
        try:
            os.rename(self.path(digest), doomed)
        except FileNotFoundError:
            return None
        return doomed

    def all(self) -> Iterator[tuple[Digest, int]]:
        """Every blob with its size in bytes. What has no digest for a name is no blob, and left alone."""
        with os.scandir(f"{self._root}/blobs/sha256") as entries:
            for entry in entries:
                if NAME.fullmatch(entry.name):
                    yield Digest(entry.name), entry.stat().st_size

    @contextmanager
    def writer(self) -> Iterator[BlobWriter]:
        """A blob in the making; what is not committed is gone afterwards."""
        path = f"{self._root}/tmp/blob-{os.urandom(8).hex()}"
        fd = -1
        try:  # being canceled can come between any two instructions
            fd = create_locked(Path(path))
            yield BlobWriter(fd, path, self)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(path)
            if fd >= 0:
                os.close(fd)

    def sweep(self) -> None:
        """Remove half-written blobs whose writers are gone."""
        for path in abandoned(self._root / "tmp", "blob-*"):
            path.unlink(missing_ok=True)


class BlobWriter:
    """Takes a blob's bytes. The caller knows their digest when it is done, and then commits."""

    def __init__(self, fd: int, path: str, blobs: Blobs) -> None:
        self._fd, self._path, self._blobs = fd, path, blobs
        self._writeback = Writeback(fd)

    def write(self, data: bytes) -> None:
        """Take all of `data`."""
        write_all(self._fd, data)
        self._writeback.wrote(len(data))

    def commit(self, digest: Digest) -> None:
        """Show the blob under its name. Its data is on the disk before its name is."""
        if self._blobs.claimed(digest):
            return
        with spans.span("sync"):
            os.fdatasync(self._fd)
        point("blob:written")
        os.rename(self._path, self._blobs.path(digest))
        point("blob:renamed")

    def replace(self, digest: Digest) -> None:
        """As commit, in the place of one that is damaged. For who keeps all others from using it."""
        with spans.span("sync"):
            os.fdatasync(self._fd)
        point("blob:anew")
        os.rename(self._path, self._blobs.path(digest))


class _File:
    """A file read once from its beginning; closed at its end, or when it is dropped before."""

    def __init__(self, path: str) -> None:
        self._fd = -1
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        self._close()

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes; all that is left when negative."""
        if size < 0:
            return b"".join(iter(lambda: self.read(_CHUNK), b""))
        data = os.read(self._fd, size) if self._fd >= 0 else b""
        if size and not data:
            self._close()
        return data

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
