from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.digest import Digest
from builder.errors import BadInputError
from builder.image.descriptor import Descriptor
from builder.remotecache import document, entries
from builder.remotecache.document import Contents, Mount, Shard, bits_for, number, parse, to_json
from builder.remotecache.entries import Entry, Fact, Packed, Said, Step, decoded, encoded

digests = st.integers(0, 255).map(lambda number: bytes([number]) * 32)
sizes = st.integers(0, 1 << 40)
days = st.integers(0, 40000)
blobs = st.none() | st.builds(Packed, digests, sizes, st.sampled_from(("zstd", "gzip", "uncompressed")))
steps = st.builds(Step, days, digests, digests, sizes, st.floats(0, 2e9), st.floats(0, 1e6), st.booleans(), blobs)
known = st.dictionaries(
    digests.map(lambda d: Digest(d.hex())),
    steps | st.builds(Fact, days, digests, sizes) | st.builds(Said, days, st.text(max_size=50)),
    max_size=5,
)
STEP = Step(1, b"d" * 32, b"c" * 32, 10, 5.0, 0.5, True, Packed(b"b" * 32, 7, "zstd"))


@given(known)
def test_entries_are_read_as_they_were_written(some: dict[Digest, Entry]) -> None:
    data = encoded(some)
    assert decoded(data) == some
    assert encoded(decoded(data)) == data


@given(st.binary(max_size=200) | known.map(encoded).map(lambda data: data[:-1]))
def test_whatever_bytes_come_they_are_entries_or_bad_input(data: bytes) -> None:
    with suppress(BadInputError):
        encoded(decoded(data))


@pytest.mark.parametrize(
    "absurd",
    [
        Step(1, b"d" * 31, b"c" * 32, 10, 5.0, 0.5, True),
        Step(1, b"d" * 32, b"c" * 32, -1, 5.0, 0.5, True),
        Step(1, b"d" * 32, b"c" * 32, 1 << 60, 5.0, 0.5, True),
        Step(1, b"d" * 32, b"c" * 32, 1, float("inf"), 0.5, True),
        Step(1, b"d" * 32, b"c" * 32, 1, float("nan"), 0.5, True),
        Step(1, b"d" * 32, b"c" * 32, 1, -5.0, 0.5, True),
        Step(1, b"d" * 32, b"c" * 32, 1, 1e300, 0.5, True),
        Step(1, b"d" * 32, b"c" * 32, 1, 5.0, 1e200, True),
        Step(-1, b"d" * 32, b"c" * 32, 1, 5.0, 0.5, True),
        Step(1, b"d" * 32, b"c" * 32, 1, 5.0, 0.5, True, Packed(b"b" * 32, 7, "rar")),
        Step(1, b"d" * 32, b"c" * 32, 1, 5.0, 0.5, True, Packed(b"b" * 32, -7, "zstd")),
        Said(1, "x" * 5000),
        Fact(1, b"", 3),
    ],
)
def test_absurd_entries_are_refused(absurd: Entry) -> None:
    with pytest.raises(BadInputError):
        decoded(msgspec.msgpack.encode({b"n" * 32: absurd}))


def test_entries_too_large_are_refused_unread() -> None:
    with pytest.raises(BadInputError, match="are not read"):
        decoded(b"\x80" * (entries.LARGEST + 1))


def contents(bits: int = 2) -> Contents:
    part = Descriptor(document.OCI_MANIFEST, Digest.of(b"m"), 3)
    shard = Shard(part, Descriptor(document.ENTRIES, Digest.of(b"e"), 4))
    return Contents(bits, {0: shard, 3: shard}, {"name": Mount("pip", part)})


def test_an_index_is_read_as_it_was_written() -> None:
    data = to_json(contents())
    assert document.is_cache(data)
    assert parse(data) == contents()
    assert to_json(parse(data)) == data


def changed(path: tuple[str | int, ...], value: object) -> bytes:
    index = msgspec.json.decode(to_json(contents()))
    at = index
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value
    return msgspec.json.encode(index)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"<html>", "cannot be read"),
        (b"[" * 100000, "cannot be read"),
        (b"{}", "no cache of pybuild"),
        (changed(("artifactType",), "x"), "no cache of pybuild but x"),
        (changed(("annotations", "pybuild.cache.version"), "2"), "version '2', known is 1"),
        (changed(("annotations", "pybuild.cache.bits"), "40"), "'40' where a number up to 12"),
        (changed(("annotations", "pybuild.cache.bits"), "-1"), "'-1' where a number"),
        (changed(("annotations", "pybuild.cache.bits"), "²"), "where a number"),
        (changed(("manifests", 0, "annotations", "pybuild.cache.shard"), "4"), "'4' where a number up to 3"),
        (changed(("manifests", 0, "annotations", "pybuild.cache.shard"), "3"), "shard 3 twice"),
        (changed(("manifests", 0, "annotations", "pybuild.cache.entries"), "sha256:x 3"), "not a usable digest"),
        (changed(("manifests", 0, "annotations", "pybuild.cache.entries"), f"sha256:{'a' * 64} 99999999"), "up to"),
        (changed(("manifests", 0, "digest"), "md5:x"), "not a usable digest"),
        (changed(("manifests", 0, "size"), 1 << 40), "a part of"),
        (changed(("manifests", 0, "size"), -2), "a part of -2 bytes"),
        (changed(("manifests",), [1]), "cannot be read"),
        (b" " * (4 << 20) + b"{}", "are not read"),
    ],
)
def test_what_is_no_index_of_a_cache_is_refused(data: bytes, told: str) -> None:
    with pytest.raises(BadInputError, match=told):
        parse(data)


def test_entries_lie_in_the_shard_of_their_first_bits() -> None:
    name = Digest("9f" + "0" * 62)
    assert [number(name, bits) for bits in (0, 1, 2, 4, 8)] == [0, 1, 2, 9, 0x9F]
    assert [bits_for(count) for count in (0, 512, 513, 1024, 1025, 100_000, 10**9)] == [0, 0, 1, 1, 2, 8, 12]


def test_a_cache_of_100000_entries_costs_little_to_look_up() -> None:
    bits = bits_for(100_000)
    shard = {Digest.of(str(n).encode()): STEP for n in range(100_000 >> bits)}
    part = Descriptor(document.OCI_MANIFEST, Digest.of(b"m"), 30000)
    index = Contents(
        bits, {n: Shard(part, Descriptor(document.ENTRIES, Digest.of(b"e"), 90000)) for n in range(1 << bits)}
    )
    assert len(to_json(index)) < 150_000
    assert len(encoded(shard)) < 100_000
    assert len(document.shard_manifest(part, shard)) < entries.LARGEST


def test_the_manifest_of_a_shard_names_its_layers_once() -> None:
    config = Descriptor(document.ENTRIES, Digest.of(b"e"), 4)
    made = msgspec.json.decode(document.shard_manifest(config, {Digest.of(b"1"): STEP, Digest.of(b"2"): STEP}))
    assert [layer["digest"] for layer in made["layers"]] == [f"sha256:{b'b'.hex() * 32}"]
    empty = msgspec.json.decode(document.shard_manifest(config, {Digest.of(b"1"): Said(1, "x")}))
    assert [layer["mediaType"] for layer in empty["layers"]] == ["application/vnd.oci.empty.v1+json"]
