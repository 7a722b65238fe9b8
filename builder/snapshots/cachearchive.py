"""Cache mounts out of and into a store as packs: out, only those are compressed that are not known where they go; in,
only those are asked for that are not there. The tree is read and made in a launcher's child, by its own IDs.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec
from msgspec import Struct

from builder.digest import Digest, Reader
from builder.errors import BadInputError
from builder.image.cachemount import PACK, VERSION, About, Archive, Contents, PackFacts
from builder.image.descriptor import Descriptor
from builder.layers.compress import packed, unpacked
from builder.layers.packread import restore
from builder.layers.packs import MOST, missing, packs, runs
from builder.linux.syscalls import exchange, sync_file_system
from builder.points import point
from builder.readied import readied
from builder.sandbox.launcher import Launcher
from builder.snapshots.active import Snapshots
from builder.snapshots.cachemounts import entered, replaced
from builder.store.blobs import store_errors

# zstd makes nothing longer by more (zstd.h, ZSTD_COMPRESSBOUND).
MOST_PACKED = MOST + (MOST >> 8) + 512
_LENGTH = struct.Struct(">I")
_CHUNK = 1 << 20


class Given(Struct, frozen=True):
    """What a cache mount was packed to: its contents, the blobs of its packs, and the paths that could not be kept."""

    contents: Contents
    blobs: tuple[Descriptor, ...]
    left_out: tuple[str, ...]


class Taken(Struct, frozen=True):
    """What a cache mount was made of: the packs that were unpacked, of how many, and their bytes as they came."""

    unpacked: int
    packs: int
    bytes: int


class _Frame(Struct, frozen=True, array_like=True):
    """A pack on its way out; its blob's bytes follow, unless they are known where it goes."""

    pack: PackFacts
    entries: int
    digest: str
    size: int
    known: bool


def give(
    launcher: Launcher,
    root: Path,
    name: str,
    about: About,
    known: Mapping[str, Descriptor],
    seconds: float,
    put: Callable[[Digest, bytes], object],
) -> Given:
    """Pack the cache mount `name`, whose id is in `about`; `put` is called for each blob, once.

    `known` are blobs by the plain digest of their pack: `put` is not called for them. Waits at most `seconds` for
    who has it alone. Raises NotFoundError, StoreError, BadInputError.
    """
    reader, writer = os.pipe2(os.O_CLOEXEC)
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = {diff_id: (str(blob.digest), blob.size) for diff_id, blob in known.items()}
        call = launcher.call(_give, (null, writer, 2), root, name, found, seconds)
    finally:
        os.close(writer)
        os.close(null)
    frames: list[_Frame] = []
    put_already: set[str] = set()
    try:
        with os.fdopen(reader, "rb") as stream:
            for frame, data in _frames(stream):
                frames.append(frame)
                if not frame.known and frame.digest not in put_already:
                    put_already.add(frame.digest)
                    put(Digest.parse(frame.digest), data)
    except BaseException:
        call.cancel()
        with suppress(Exception):
            call.result()
        raise
    left_out = call.result()
    contents = Contents(VERSION, about, sum(f.entries for f in frames), tuple(f.pack for f in frames))
    return Given(contents, tuple(Descriptor(PACK, Digest.parse(f.digest), f.size) for f in frames), left_out)


def take(
    launcher: Launcher,
    root: Path,
    about: About,
    archive: Archive,
    fetch: Callable[[Descriptor], Reader],
    seconds: float,
    *,
    merge: bool = False,
) -> Taken:
    """Make the cache mount that `about` tells of what `archive` holds; with `merge` over what is in it.

    It is as before, or as it should be, whatever happens meanwhile. `fetch` gives a reader of a blob, for those that
    are needed, in order. Waits at most `seconds` for who has it. Raises StoreError, BadInputError.
    """
    give_in, take_in = os.pipe2(os.O_CLOEXEC)
    told, tell = os.pipe2(os.O_CLOEXEC)
    try:
        sizes = tuple(blob.size for blob in archive.blobs)
        call = launcher.call(_take, (give_in, tell, 2), root, about, archive.contents, sizes, seconds, merge=merge)
    except BaseException:
        os.close(take_in)
        os.close(told)
        raise
    finally:
        os.close(give_in)
        os.close(tell)
    trouble: BaseException | None = None
    needed: list[int] = []
    with os.fdopen(take_in, "wb", buffering=0) as pipe, os.fdopen(told, "rb") as answer:
        try:
            needed = msgspec.json.decode(answer.read() or b"[]", type=readied(list[int]))
            for number in needed:
                _pass(fetch(archive.blobs[number]), pipe)
        except BrokenPipeError:
            pass  # the other side has found something wrong and says so below
        except BaseException as error:
            trouble = error
            call.cancel()
    try:
        call.result()
    finally:
        if trouble is not None:
            raise trouble
    return Taken(len(needed), len(archive.blobs), sum(archive.blobs[number].size for number in needed))


def _frames(stream: Reader) -> Iterator[tuple[_Frame, bytes]]:
    while len(head := stream.read(_LENGTH.size)) == _LENGTH.size:
        length = _LENGTH.unpack(head)[0]
        if len(document := stream.read(length)) < length:
            return  # who sends them has been killed, and so has its call
        frame = msgspec.json.decode(document, type=readied(_Frame))
        if len(data := b"" if frame.known else stream.read(frame.size)) < frame.size and not frame.known:
            return
        yield frame, data


def _pass(source: Reader, pipe: IO[bytes]) -> None:
    while data := source.read(_CHUNK):
        view = memoryview(data)
        while view:
            view = view[os.write(pipe.fileno(), view) :]


# --- in the launcher's child ---------------------------------------------------------------------


def _give(root: Path, name: str, known: dict[str, tuple[str, int]], seconds: float) -> tuple[str, ...]:
    left_out: list[str] = []
    with (
        store_errors(root),
        entered(root, name, seconds, alone=False) as path,
        os.fdopen(os.dup(1), "wb") as out,
    ):
        for pack in packs(path, left_out):
            plain = str(Digest.of(pack.data))
            there = known.get(plain)
            data = packed(pack.data) if there is None else b""
            digest, size = (str(Digest.of(data)), len(data)) if there is None else there
            facts = PackFacts(plain, len(pack.data), pack.goes_on)
            head = msgspec.json.encode(_Frame(facts, len(pack.entries), digest, size, known=there is not None))
            out.write(_LENGTH.pack(len(head)) + head + data)
    return tuple(left_out)


def _take(root: Path, about: About, contents: Contents, sizes: tuple[int, ...], seconds: float, *, merge: bool) -> None:
    wanted = [(Digest.parse(pack.diff_id), pack.goes_on) for pack in contents.packs]
    with (
        store_errors(root),
        Snapshots(root).scratch() as scratch,
        replaced(root, about.name, about.document(), seconds) as path,
        os.fdopen(os.dup(0), "rb") as source,
    ):
        here = list(runs(packs(path, []))) if os.path.isdir(path) else []
        parts = missing(wanted, here)
        _tell([part for part in parts if isinstance(part, int)])
        new = f"{scratch}/new"
        os.mkdir(new, 0o755)
        if merge:
            restore(new, here, _nothing, path)
        restore(new, parts, lambda number: _fetched(source, sizes[number], contents.packs[number]), path)
        _put(new, path)


def _tell(needed: list[int]) -> None:
    """Say which packs are needed; then there is nothing more to say."""
    data = msgspec.json.encode(needed)
    with os.fdopen(os.dup(1), "wb") as out:
        out.write(data)
    null = os.open("/dev/null", os.O_WRONLY | os.O_CLOEXEC)
    os.dup2(null, 1)
    os.close(null)


def _fetched(source: Reader, size: int, facts: PackFacts) -> bytes:
    frame = source.read(size)
    if len(frame) != size:
        raise BadInputError("the archive is cut off")
    data = unpacked(frame, facts.size)
    if str(Digest.of(data)) != facts.diff_id:
        raise BadInputError(f"a pack of the archive is damaged: it unpacks to {Digest.of(data)}, not {facts.diff_id}")
    return data


def _nothing(number: int) -> bytes:
    raise AssertionError("what is there has nothing to be fetched")


def _put(new: str, path: str) -> None:
    """Have the directory `new` at `path`, and what was there at `new`: on the disk before it has the name."""
    fd = os.open(new, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_file_system(fd)
    finally:
        os.close(fd)
    point("cachemount:unpacked")
    if os.path.isdir(path):
        exchange(new, path)
    else:
        os.rename(new, path)
    point("cachemount:swapped")
