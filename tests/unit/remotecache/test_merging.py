from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from builder.digest import Digest
from builder.image.descriptor import Descriptor
from builder.remotecache import entries
from builder.remotecache.document import ENTRIES, Contents, Shard, number
from builder.remotecache.entries import Entry, Said, Step
from builder.remotecache.merging import differs, merged

TODAY = 20000
names = st.integers(0, 4000).map(lambda n: Digest.of(str(n).encode()))
values = st.builds(Said, st.just(TODAY), st.sampled_from(("x", "y")))
writes = st.lists(st.dictionaries(names, values, max_size=6), max_size=6)


class Kept:
    """Caches as they are written, in memory."""

    def __init__(self) -> None:
        self.blobs: dict[Digest, dict[Digest, Entry]] = {}
        self.contents = Contents()

    def read(self, shard: Shard) -> Mapping[Digest, Entry]:
        return self.blobs[shard.entries.digest]

    def write(self, new: Mapping[Digest, Entry], keep: int = 14) -> None:
        found = merged(self.contents, self.read, new, TODAY, keep)
        shards = {} if found.whole else dict(self.contents.shards)
        for place, shard in found.shards.items():
            data = entries.encoded(shard)
            blob = Descriptor(ENTRIES, Digest.of(data), len(data))
            self.blobs[blob.digest] = shard
            shards[place] = Shard(blob, blob)
        self.contents = Contents(found.bits, shards)

    def all(self) -> dict[Digest, Entry]:
        found: dict[Digest, Entry] = {}
        for place, shard in self.contents.shards.items():
            for name, entry in self.read(shard).items():
                assert number(name, self.contents.bits) == place
                assert name not in found
                found[name] = entry
        return found


@given(writes)
def test_what_is_written_is_there_and_the_last_word_counts(writes: list[dict[Digest, Entry]]) -> None:
    cache, expected = Kept(), dict[Digest, Entry]()
    for new in writes:
        cache.write(new)
        expected.update(new)
        assert cache.all() == expected
    cache.write(expected)
    assert merged(cache.contents, cache.read, expected, TODAY, 14).shards == {}


@given(writes)
def test_without_days_only_the_last_build_is_there(writes: list[dict[Digest, Entry]]) -> None:
    cache = Kept()
    for new in writes:
        cache.write(new, keep=0)
        assert cache.all() == new


def test_growing_splits_shards_and_loses_nothing() -> None:
    cache, expected = Kept(), dict[Digest, Entry]()
    for begin in range(0, 3000, 300):
        new: dict[Digest, Entry] = {Digest.of(str(n).encode()): Said(TODAY, str(n)) for n in range(begin, begin + 300)}
        cache.write(new)
        expected.update(new)
        assert cache.all() == expected
    assert cache.contents.bits == 3


def test_a_layer_that_is_there_stays_when_a_build_has_none_of_it() -> None:
    blob = entries.Packed(b"b" * 32, 5, "zstd")
    old = Step(TODAY, b"d" * 32, b"c" * 32, 9, 5.0, 0.5, True, blob)
    bare = Step(TODAY, b"d" * 32, b"c" * 32, 9, 5.0, 0.5, True)
    other = Step(TODAY, b"e" * 32, b"c" * 32, 9, 6.0, 0.5, True)
    name, cache = Digest.of(b"step"), Kept()
    cache.write({name: old})
    cache.write({name: bare})
    assert cache.all() == {name: old}
    cache.write({name: other})
    assert cache.all() == {name: other}
    assert not differs({name: old}, {name: bare})
