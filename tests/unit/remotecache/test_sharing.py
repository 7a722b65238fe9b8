"""What is written is found, however many write, and whatever goes wrong."""

from __future__ import annotations

import io
from contextlib import AbstractContextManager, nullcontext

import pytest

from builder.digest import Digest, Reader
from builder.errors import NotFoundError, RegistryError, UsageError
from builder.events import Event, Note, Warned
from builder.image.descriptor import Descriptor, Layer
from builder.image.mediatypes import OCI_LAYER_ZSTD
from builder.remotecache import document, entries
from builder.remotecache.entries import DAY, Entry, Fact, Packed, Said, Step
from builder.remotecache.options import Target
from builder.remotecache.reading import SharedCache
from builder.remotecache.trust import Keys
from builder.remotecache.writing import Share
from tests.unit.remotecache.places import Memory

TODAY = 20000
CACHE = Target("cache", mode="max")


@pytest.fixture(autouse=True)
def today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builder.remotecache.writing.time.time", lambda: float(TODAY * DAY + 5))


class Watched:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    @property
    def warnings(self) -> list[str]:
        return [e.message for e in self.events if isinstance(e, Warned)]

    @property
    def notes(self) -> list[str]:
        return [e.text for e in self.events if isinstance(e, Note)]


def layer(word: bytes) -> Layer:
    data = b"blob of " + word
    blob = Descriptor(OCI_LAYER_ZSTD, Digest.of(data), len(data))
    return Layer(Digest.of(b"diff" + word), Digest.of(b"content" + word), 9, blob)


class Sent:
    """A layer to be uploaded, or one that is gone."""

    def __init__(self, word: bytes, error: Exception | None = None) -> None:
        self.word, self.error = word, error

    def blob(self) -> Descriptor:
        if self.error is not None:
            raise self.error
        return layer(self.word).blob

    def open(self, blob: Descriptor) -> AbstractContextManager[Reader]:
        return nullcontext(io.BytesIO(b"blob of " + self.word))


def step(word: bytes, used: int = TODAY, *, blob: bool = False) -> Step:
    made = layer(word)
    return Step(
        used,
        bytes.fromhex(made.diff_id.hex),
        bytes.fromhex(made.content_id.hex),
        made.size,
        5.0,
        0.5,
        True,
        Packed.of(made.blob, "zstd") if blob else None,
    )


def share(place: Memory, emit: Watched, target: Target = CACHE) -> Share:
    return Share(target, lambda: place, emit, Keys(None))


def wrote(place: Memory, known: dict[Digest, Entry], *words: bytes, target: Target = CACHE) -> Watched:
    """One build that shares `known`, and the layers of `words`."""
    watched = Watched()
    writer = share(place, watched, target)
    for name, entry in known.items():
        writer.add(name, entry)
    for word in words:
        writer.send(layer(word).diff_id, Sent(word))
    writer.finish({})
    return watched


def read(place: Memory, *names: Digest) -> list[Entry | None]:
    watched = Watched()
    cache = SharedCache("cache", lambda: place, watched)
    found = [cache.get(name) for name in names]
    assert not watched.warnings
    return found


A, B, C = (Digest.of(word) for word in (b"a", b"b", b"c"))


def test_what_one_build_shares_another_finds() -> None:
    place = Memory()
    watched = wrote(place, {A: step(b"a"), B: step(b"b"), C: Said(TODAY, "x")}, b"a")
    assert watched.notes == ["wrote the cache memory"]
    assert read(place, A, B, C, Digest.of(b"?")) == [step(b"a", blob=True), step(b"b"), Said(TODAY, "x"), None]
    assert place.blobs[layer(b"a").blob.digest] == b"blob of a"
    assert place.closed == 1


def test_a_layer_that_is_there_is_neither_sent_nor_lost_again() -> None:
    place = Memory()
    wrote(place, {A: step(b"a")}, b"a")
    before, place.asked = place.named, []
    writer = share(place, Watched())
    writer.add(A, step(b"a"))
    writer.finish({layer(b"a").diff_id: Sent(b"a")})
    assert place.named == before
    assert set(place.asked) == {"read", "blob"}


def test_a_layer_that_is_not_there_is_sent_at_the_end() -> None:
    place = Memory()
    wrote(place, {A: step(b"a")})
    writer = share(place, Watched())
    writer.add(A, step(b"a", blob=True))
    writer.finish({layer(b"a").diff_id: Sent(b"a")})
    assert read(place, A) == [step(b"a", blob=True)]


def test_caches_grow_together_and_who_comes_between_is_not_lost() -> None:
    place = Memory()
    wrote(place, {A: step(b"a")}, b"a")
    between = [lambda: wrote(place, {B: step(b"b")}, b"b")]

    def other() -> None:
        if between:
            between.pop()()

    place.before_point = other
    wrote(place, {C: step(b"c")}, b"c")
    assert read(place, A, B, C) == [step(w, blob=True) for w in (b"a", b"b", b"c")]


def test_at_last_the_name_is_moved_whatever_it_stands_for() -> None:
    place, count = Memory(), [0]

    def others() -> None:
        count[0] += 1
        place.named = document.to_json(
            document.Contents(0, {}, {str(count[0]): document.Mount("id", Descriptor("", A, 1))})
        )

    place.before_point = others
    wrote(place, {A: step(b"a")}, b"a")
    assert read(place, A) == [step(b"a", blob=True)]
    assert count[0] < 20


def test_what_was_of_no_use_for_days_goes() -> None:
    place = Memory()
    wrote(place, {A: step(b"a", TODAY - 20), B: step(b"b", TODAY - 14)}, target=Target("c", keep=36500))
    wrote(place, {C: step(b"c")})
    assert read(place, A, B, C) == [None, step(b"b", TODAY - 14), step(b"c")]
    wrote(place, {C: step(b"c")}, target=Target("c", keep=0))
    assert read(place, A, B, C) == [None, None, step(b"c")]


def test_a_day_later_nothing_is_written_for_that_alone() -> None:
    place = Memory()
    wrote(place, {A: step(b"a", TODAY - 1)})
    before = place.named
    assert wrote(place, {A: step(b"a")}).notes == []
    assert place.named == before
    wrote(place, {A: step(b"a", TODAY + 2)})
    assert read(place, A) == [step(b"a", TODAY + 2)]


def test_many_entries_are_split_into_shards_and_all_found() -> None:
    place = Memory()
    wrote(place, {Digest.of(f"{n}".encode()): Said(TODAY, str(n)) for n in range(500)})
    assert place.named is not None
    assert document.parse(place.named).bits == 0
    more = {Digest.of(f"{n}".encode()): Said(TODAY, str(n)) for n in range(500, 3000)}
    wrote(place, more)
    contents = document.parse(place.named)
    assert contents.bits == 3
    assert len(contents.shards) == 8
    names = [Digest.of(f"{n}".encode()) for n in range(3000)]
    assert read(place, *names) == [Said(TODAY, str(n)) for n in range(3000)]
    place.asked.clear()
    read(place, names[7])
    assert place.asked == ["read", "blob"]


def test_a_failing_place_fails_no_build_and_is_told_once() -> None:
    for broken in ("read", "put", "put_manifest", "point"):
        place = Memory()
        place.broken = {broken}
        watched = wrote(place, {A: step(b"a"), B: step(b"b")}, b"a", b"b")
        assert len(watched.warnings) == 1, broken
        assert "the cache is not written to memory" in watched.warnings[0]
        assert place.named is None
        assert place.closed == 1


def test_who_wants_it_fails_with_its_cache() -> None:
    place = Memory()
    place.broken = {"point"}
    writer = share(place, Watched(), Target("cache", strict=True))
    writer.add(A, step(b"a"))
    with pytest.raises(RegistryError, match="point does not work"):
        writer.finish({})


def test_a_layer_lost_meanwhile_is_no_trouble() -> None:
    place, watched = Memory(), Watched()
    writer = share(place, watched)
    writer.add(A, step(b"a"))
    writer.send(layer(b"a").diff_id, Sent(b"a", NotFoundError("it was collected")))
    writer.finish({})
    assert watched.warnings == []
    assert read(place, A) == [step(b"a")]


def test_an_image_is_not_replaced_by_a_cache() -> None:
    place = Memory()
    place.named = b'{"schemaVersion": 2, "config": {}, "layers": []}'
    watched = wrote(place, {A: step(b"a")})
    assert "something else than a cache" in watched.warnings[0]
    writer = share(place, Watched(), Target("cache", strict=True))
    writer.add(A, step(b"a"))
    with pytest.raises(UsageError, match="something else"):
        writer.finish({})


def test_a_damaged_cache_is_written_anew() -> None:
    place = Memory()
    wrote(place, {A: step(b"a")})
    assert place.named is not None
    place.named = place.named.replace(b'"pybuild.cache.bits":"0"', b'"pybuild.cache.bits":"x"')
    watched = wrote(place, {B: step(b"b")})
    assert "is written anew" in watched.notes[0]
    assert read(place, A, B) == [None, step(b"b")]


def test_what_a_registry_has_lost_of_others_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Memory()
    wrote(place, {A: step(b"a")}, b"a")
    place.blobs.pop(layer(b"a").blob.digest)
    put = place.put_manifest

    def refuses(data: bytes, media_type: str) -> None:
        if layer(b"a").blob.digest.hex.encode() in data:
            raise RegistryError("blob unknown to registry")
        put(data, media_type)

    monkeypatch.setattr(place, "put_manifest", refuses)
    watched = wrote(place, {B: step(b"b")}, b"b")
    assert watched.warnings == []
    assert read(place, A, B) == [None, step(b"b", blob=True)]


@pytest.mark.parametrize("broken", ["read", "blob"])
def test_a_cache_that_cannot_be_read_has_nothing_and_that_is_told_once(broken: str) -> None:
    place, watched = Memory(), Watched()
    wrote(place, {A: step(b"a")})
    place.broken = {broken}
    cache = SharedCache("cache", lambda: place, watched)
    assert [cache.get(A), cache.get(B)] == [None, None]
    assert watched.warnings == [f"the cache memory is not used: {broken} does not work"]
    place.broken, place.asked = set(), []
    assert cache.get(A) is None
    assert place.asked == []


def test_a_cache_of_nonsense_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    place, watched = Memory(), Watched()
    wrote(place, {A: step(b"a")})
    shard = document.parse(place.named or b"").shards[0].entries
    place.blobs[shard.digest] = b"x" * shard.size
    cache = SharedCache("cache", lambda: place, watched)
    assert cache.get(A) is None
    assert "is damaged" in watched.warnings[0]


def test_a_slow_cache_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    place, watched, now = Memory(), Watched(), [0.0]
    wrote(place, {A: step(b"a")})
    monkeypatch.setattr("builder.remotecache.reading.time.monotonic", lambda: now[0])
    read_slowly = place.read

    def slow() -> tuple[bytes, str] | None:
        now[0] += 31
        return read_slowly()

    monkeypatch.setattr(place, "read", slow)
    cache = SharedCache("cache", lambda: place, watched)
    assert cache.get(A) == step(b"a")
    assert watched.warnings == ["the cache memory is not used: its answers took 31 s"]
    assert cache.get(A) is None


def test_an_empty_cache_is_no_warning() -> None:
    watched = Watched()
    assert SharedCache("cache", Memory, watched).get(A) is None
    assert watched.warnings == []
    assert watched.notes == ["the cache memory is empty yet"]


def test_facts_are_kept_beside_steps() -> None:
    place = Memory()
    fact = Fact(TODAY, b"c" * 32, 7)
    wrote(place, {entries.named("layer", "x"): fact})
    assert read(place, entries.named("layer", "x")) == [fact]
