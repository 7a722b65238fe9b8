"""Layers from outside into the store: blob kept, tar checked and unpacked, all in one pass over the bytes.

A layer is unpacked as it comes, confined (layers/extract), so one that must not be trusted is refused before
anything can refer to it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from builder.digest import HashingReader, HashingWriter, Reader, Writer
from builder.errors import BadInputError
from builder.image.descriptor import Descriptor, Layer
from builder.image.mediatypes import layer_type
from builder.layers import compress
from builder.layers.extract import extract_layer
from builder.linux.files import disk_bytes
from builder.sandbox.child import tell_begun
from builder.sandbox.launcher import Call, Launcher
from builder.snapshots.active import Snapshots
from builder.snapshots.layer import COMPRESSION
from builder.store.blobs import Blobs, store_errors

_CHUNK = 1 << 20


def receive(
    launcher: Launcher, root: Path, source: Reader, *, blob: Descriptor | None = None, what: str = "the layer"
) -> Layer:
    """Take a layer's tar, compressed in whatever way, from `source` into the store at `root`.

    With `blob` the bytes are kept as they come and must be that blob; without, they are kept in the store's own
    compression. Raises BadInputError for what is no clean layer; the store is then as it was.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    try:
        call = launcher.call(_receive, (reader, null, null), root, blob)
    finally:
        os.close(reader)
        os.close(null)
    trouble: BaseException | None = None
    with os.fdopen(writer, "wb", buffering=0) as pipe:
        try:
            while data := source.read(_CHUNK):
                pipe.write(data)
        except BrokenPipeError:
            pass  # the other side has found something wrong and says so below
        except BaseException as error:
            trouble = error
            call.cancel()
    try:
        return call.result()
    except BadInputError as error:
        raise BadInputError(f"{what} cannot be used: {error.message}", hint=error.hint) from trouble or error
    finally:
        if trouble is not None:
            raise trouble


def remove(launcher: Launcher, root: Path, paths: tuple[str, ...]) -> None:
    """Remove trees below `root` that may hold files of mapped IDs."""
    if paths:
        taken(launcher, root, paths).result()


def taken(launcher: Launcher, root: Path, paths: tuple[str, ...]) -> Call[int]:
    """Take trees below `root` out of sight; the call that is given deletes them, and gives the bytes they took."""
    call = launcher.call(_remove, None, root, paths)
    call.begun()
    return call


# --- in the launcher's child ---------------------------------------------------------------------


class _Tee:
    """Hands on what it reads and writes it to a second place too."""

    def __init__(self, source: Reader, copy: Writer) -> None:
        self._source, self._copy = source, copy

    def read(self, size: int = -1) -> bytes:
        data = self._source.read(size)
        if data:
            self._copy.write(data)
        return data


def _receive(root: Path, blob: Descriptor | None) -> Layer:
    snapshots = Snapshots(root)
    with (
        store_errors(root),
        os.fdopen(os.dup(0), "rb", buffering=0) as source,
        snapshots.scratch() as path,
        Blobs(root).writer() as kept,
    ):
        os.chmod(path, 0o755)
        if blob is None:
            written = HashingWriter(kept)
            compressed = compress.writer(COMPRESSION, written)
            facts = extract_layer(_Tee(compress.plain(source), compressed), path)
            compressed.finish()
            media_type, digest, size = layer_type(COMPRESSION), written.digest(), written.size
        else:
            raw = HashingReader(_Tee(source, kept))
            facts = extract_layer(compress.plain(raw), path)
            while raw.read(_CHUNK):
                pass
            media_type, digest, size = blob.media_type, raw.digest(), raw.size
            if digest != blob.digest:
                raise BadInputError(f"blob {blob.digest} is damaged: its content hashes to {digest}")
        kept.commit(digest)
        snapshots.commit(path, facts.diff_id)
    return Layer(facts.diff_id, facts.content_id, facts.size, Descriptor(media_type, digest, size))


def _remove(root: Path, paths: tuple[str, ...]) -> int:
    # Renamed first: whoever looks meanwhile sees it whole or not at all.
    with Snapshots(root).scratch() as doomed:
        for path in paths:
            with suppress(FileNotFoundError):
                os.rename(path, f"{doomed}/{os.path.basename(path)}")
        tell_begun()
        return disk_bytes(doomed)
