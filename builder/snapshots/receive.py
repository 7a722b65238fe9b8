"""Layers from outside into the store: blob kept, tar checked and unpacked, all in one pass over the bytes.

A layer is unpacked as it comes, confined (layers/extract), so one that must not be trusted is refused before
anything can refer to it.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct

from builder.digest import Digest, HashingReader, HashingWriter, Reader, Writer
from builder.errors import BadInputError
from builder.image.descriptor import Descriptor, Layer
from builder.image.mediatypes import compression_of, layer_type
from builder.layers import compress
from builder.layers.bounds import Bounded, Bounds, Counted
from builder.layers.extract import LayerFacts, extract_layer
from builder.linux.files import disk_bytes
from builder.sandbox.child import tell_begun
from builder.sandbox.launcher import Call, Launcher
from builder.snapshots.active import Snapshots
from builder.snapshots.layer import COMPRESSION
from builder.store.blobs import Blobs, store_errors

_CHUNK = 1 << 20


# Begins a call in a context that lasts as long as it does.
Hold = Callable[[Callable[[], Call[Layer]]], AbstractContextManager[Call[Layer]]]


def unheld(begin: Callable[[], Call[Layer]]) -> AbstractContextManager[Call[Layer]]:
    """Nothing is done while a call runs."""
    return nullcontext(begin())


class Wanted(Struct, frozen=True):
    """What a layer must be: its blob and diff ID, where they are known, and how large it may become (layers/bounds)."""

    blob: Descriptor | None = None
    diff_id: Digest | None = None
    bounds: Bounds = Bounds()


def receive(
    launcher: Launcher,
    root: Path,
    source: Reader,
    wanted: Wanted,
    what: str = "the layer",
    hold: Hold = unheld,
) -> Layer:
    """Take a layer's tar, compressed in whatever way, from `source` into the store at `root`.

    With a blob in `wanted` the bytes are kept as they come and must be that blob; without, they are kept in the store's
    own compression. The call that unpacks is begun by `hold`. Raises BadInputError for what
    is no clean layer; the store is then as it was.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    with suppress(OSError):  # a larger one only saves switching between the two sides
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _CHUNK)
    null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    with ExitStack() as ends, os.fdopen(writer, "wb", buffering=0) as pipe:
        ends.callback(os.close, reader)
        ends.callback(os.close, null)
        with hold(lambda: launcher.call(_receive, (reader, null, null), root, wanted)) as call:
            ends.close()  # the call has its own: it alone must be seen to leave the pipe
            return _sent(call, source, pipe, what)


def _sent(call: Call[Layer], source: Reader, pipe: BinaryIO, what: str) -> Layer:
    """What `call` makes of `source`, which is written to its `pipe`."""
    trouble: BaseException | None = None
    with pipe:
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


def _receive(root: Path, wanted: Wanted) -> Layer:
    snapshots = Snapshots(root)
    with (
        store_errors(root),
        os.fdopen(os.dup(0), "rb", buffering=0) as source,
        snapshots.scratch() as path,
        Blobs(root).writer() as kept,
    ):
        os.chmod(path, 0o755)
        take = _packed_here if wanted.blob is None else _as_it_comes
        facts, blob = take(source, kept, path, wanted)
        if wanted.diff_id not in (None, facts.diff_id):
            raise BadInputError(f"it unpacks to {facts.diff_id}, and the image's config names {wanted.diff_id}")
        kept.commit(blob.digest)
        snapshots.commit(path, facts.diff_id)
    return Layer(facts.diff_id, facts.content_id, facts.size, blob)


def _packed_here(source: Reader, kept: Writer, path: str, wanted: Wanted) -> tuple[LayerFacts, Descriptor]:
    """Unpack `source` into `path` and write it to `kept` in the store's own compression."""
    written, packed = HashingWriter(kept), Counted(source)
    compressed = compress.writer(COMPRESSION, written)
    plain = Bounded(compress.plain(packed), packed, wanted.bounds)
    facts = extract_layer(_Tee(plain, compressed), path)
    compressed.finish()
    return facts, Descriptor(layer_type(COMPRESSION), written.digest(), written.size)


def _as_it_comes(source: Reader, kept: Writer, path: str, wanted: Wanted) -> tuple[LayerFacts, Descriptor]:
    """Unpack `source` into `path` and write it to `kept` as it is: it must be the blob of `wanted`.

    The media type of what is given says how the bytes are really compressed, whatever the image's manifest says of it.
    """
    blob = wanted.blob
    assert blob is not None
    raw = HashingReader(_Tee(source, kept))
    head = compress.Peekable(raw)
    compression = compress.detect(head.peek(6))
    if compression not in compress.NAMES:
        raise BadInputError(f"it is compressed with {compression}, which no layer of an image is")
    facts = extract_layer(Bounded(compress.reader(compression, head), raw, wanted.bounds), path)
    while raw.read(_CHUNK):
        pass
    if raw.digest() != blob.digest:
        raise BadInputError(f"blob {blob.digest} is damaged: its content hashes to {raw.digest()}")
    said = compression_of(blob.media_type) == compression
    return facts, Descriptor(blob.media_type if said else layer_type(compression), blob.digest, raw.size)


def _remove(root: Path, paths: tuple[str, ...]) -> int:
    # Renamed first: whoever looks meanwhile sees it whole or not at all.
    with Snapshots(root).scratch() as doomed:
        for path in paths:
            with suppress(FileNotFoundError):
                os.rename(path, f"{doomed}/{os.path.basename(path)}")
        tell_begun()
        return disk_bytes(doomed)
