"""What a lock makes of names; what is missing or drifts, and how it is told."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.digest import Digest
from builder.errors import BadInputError, NotFoundError, PybuildError, RegistryError, UsageError
from builder.events import Event, Note, Warned
from builder.graph.lower import Base, LowerOptions, lower
from builder.graph.vertex import BaseImage, GitTree, Graph, UrlFile
from builder.image.config import ImageConfig
from builder.image.platform import Platform
from builder.lang.parser import parse
from builder.lang.source import Source
from builder.sources.lockfile import GIT, IMAGE, URL, GitPin, ImagePin, Key, Lock, Pin, UrlPin, header, text_of
from builder.sources.pins import LockText, Pins, Terms
from builder.store.open import Store
from tests.support.store import image

AMD64 = Platform("linux", "amd64")
DATE = "2026-11-26T01:30:00Z"
INDEX, MANIFEST = Digest.of(b"index"), Digest.of(b"manifest")
FREE = Terms()
LOCKED, OFFLINE = Terms(locked=True), Terms(offline=True)
DEBIAN: dict[Key, Pin] = {(IMAGE, "debian:12"): ImagePin(INDEX, DATE, {"linux/amd64": MANIFEST})}


class Registry:
    """Knows every image but those called `missing`, and notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def base(self, reference: str, platform: Platform) -> Base:
        self.asked.append(reference)
        if "missing" in reference:
            raise NotFoundError(f"{reference} is not in the store")
        if "broken" in reference:
            raise RegistryError("the registry broke off")
        manifest = MANIFEST if str(INDEX) in reference else Digest.of(reference.encode())
        return Base(reference, manifest, ImageConfig(platform=platform))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store.open(tmp_path_factory.mktemp("store") / "store")
    yield opened
    opened.close()


def read(pins: dict[Key, Pin]) -> LockText:
    lock = Lock.of(pins, ("linux/amd64",))
    return LockText("a.lock", lock, text_of(lock))


class Building:
    """A lowering of `text` on the terms of a build, with what it told."""

    def __init__(self, store: Store, text: str, lock: LockText, terms: Terms = FREE) -> None:
        self.registry = Registry()
        self.told: list[Event] = []
        self.pins = Pins(store, terms, lock)
        self._text = text

    def graph(self) -> Graph:
        source = Source("Buildfile", self._text)
        options = LowerOptions(platform=AMD64, build_platform=AMD64)
        with self.pins.gathering():
            graph = lower(parse(source), source, options, self.pins.over(self.registry))
        self.pins.settle(graph, "Buildfile", self._current, self.told.append)
        return graph

    def _current(self, vertex: UrlFile | GitTree) -> Digest:
        raise NotFoundError("nobody is asked")


def bases(graph: Graph) -> list[tuple[str, Digest]]:
    return [(v.reference, v.manifest) for v in graph.vertices if isinstance(v, BaseImage)]


def test_a_pinned_image_is_asked_for_by_its_index_and_keeps_its_name(store: Store) -> None:
    building = Building(store, "FROM debian:12\n", read(DEBIAN), LOCKED)
    assert bases(building.graph()) == [("debian:12", MANIFEST)]
    assert building.registry.asked == [f"docker.io/library/debian:12@{INDEX}"]
    assert building.told == [Note("kept to a.lock: 1 source as locked")]


def test_an_image_that_came_without_its_index_will_do_unless_it_must_be_signed(store: Store) -> None:
    here = image(store).manifest.digest
    lock = read({(IMAGE, "debian:12"): ImagePin(INDEX, DATE, {"linux/amd64": here})})
    assert Pins(store, FREE, lock).image("debian:12", AMD64) == f"docker.io/library/debian:12@{here}"
    assert Pins(store, Terms(signed=True), lock).image("debian:12", AMD64) == f"docker.io/library/debian:12@{INDEX}"


def test_names_are_pinned_however_they_are_written(store: Store) -> None:
    pins: dict[Key, Pin] = {(IMAGE, "debian:latest"): ImagePin(INDEX, DATE)}
    text = "FROM debian AS a\nFROM docker.io/library/debian:latest AS b\nFROM library/debian\nCOPY --from=a / /\n"
    building = Building(store, text + "COPY --from=b / /\n", read(pins), LOCKED)
    building.graph()
    assert set(building.registry.asked) == {f"docker.io/library/debian:latest@{INDEX}"}


def test_what_is_not_pinned_is_asked_for_as_it_is_and_told(store: Store) -> None:
    sources = "https://example.org/b https://example.org/c.git#d"
    text = f"FROM debian:12 AS a\nFROM alpine:3\nCOPY --from=a / /\nADD {sources} /\n"
    building = Building(store, text, read(DEBIAN))
    assert ("alpine:3", Digest.of(b"alpine:3")) in bases(building.graph())
    (warned,) = [event for event in building.told if isinstance(event, Warned)]
    names = "alpine:3, https://example.org/b, https://example.org/c.git#d"
    assert warned.message == f"{names} are not in a.lock, and taken as found: run pybuild lock"


def test_what_says_what_it_must_be_is_no_drift(store: Store) -> None:
    text = (
        f"FROM debian@{INDEX}\nADD --checksum={MANIFEST} https://example.org/a /\n"
        f"ADD https://example.org/b.git#{'a' * 40} /\nCOPY --from=debian:12@{INDEX} / /\n"
    )
    building = Building(store, text, LockText("a.lock", there=False), LOCKED)
    building.graph()
    assert building.told == []


def test_drift_is_told_with_what_would_be_written(store: Store) -> None:
    pins: dict[Key, Pin] = {
        **DEBIAN,
        (URL, "https://example.org/a"): UrlPin(INDEX, DATE),
        (GIT, "https://example.org/b.git"): GitPin("a" * 40, "", DATE),
    }
    text = "FROM debian:13\nADD https://example.org/a https://example.org/c /\nADD https://example.org/b.git#v1 /\n"
    building = Building(store, text, read(pins), LOCKED)
    with pytest.raises(UsageError) as caught:
        building.graph()
    assert caught.value.message.splitlines() == [
        "a.lock does not say all that is needed, and --locked takes nothing else",
        '    -[git."https://example.org/b.git"]',
        '    +[git."https://example.org/b.git#v1"]  (Buildfile:3)',
        '    -[image."debian:12"]',
        '    +[image."debian:13"]  (Buildfile:1)',
        '    +[url."https://example.org/c"]  (Buildfile:2)',
    ]
    assert building.registry.asked == []


def test_what_other_stages_may_need_is_not_called_unneeded(store: Store) -> None:
    building = Building(store, "FROM debian:12 AS a\nFROM alpine\n", read(DEBIAN), LOCKED)
    with pytest.raises(UsageError) as caught:
        building.graph()
    assert "-[" not in caught.value.message


def test_an_error_after_something_was_missing_is_told_as_that(store: Store) -> None:
    # What comes of an image that is not there means nothing: here, its variables.
    for terms, kind in ((LOCKED, UsageError), (OFFLINE, NotFoundError)):
        building = Building(store, "FROM missing\nADD ${URL_OF_BASE:?nowhere} /\n", read({}), terms)
        with pytest.raises(kind, match="missing"):
            building.graph()
    with pytest.raises(PybuildError, match="nowhere"):
        Building(store, "FROM debian\nADD ${URL_OF_BASE:?nowhere} /\n", read({})).graph()


def test_offline_all_is_told(store: Store) -> None:
    text = (
        "FROM missing/a AS a\nFROM debian:12\nCOPY --from=missing/b / /\nCOPY --from=a / /\n"
        "ADD https://example.org/a https://user:secret@example.org/b.git /\n"
    )
    building = Building(store, text, read({(IMAGE, "missing/b:latest"): ImagePin(INDEX, DATE)}), OFFLINE)
    with pytest.raises(NotFoundError) as caught:
        building.graph()
    assert caught.value.message.splitlines()[1:] == [
        "    image missing/a:latest  (Buildfile:1)",
        "    image missing/b:latest as it is locked  (Buildfile:3)",
        "    URL https://example.org/a  (Buildfile:5)",
        "    repository https://xxxxx@example.org/b.git  (Buildfile:5)",
    ]


def test_what_goes_wrong_with_a_pin_names_its_line(store: Store) -> None:
    for name in ("missing", "broken"):
        lock = read({**DEBIAN, (IMAGE, f"{name}:latest"): ImagePin(INDEX, DATE)})
        with pytest.raises((NotFoundError, RegistryError)) as caught:
            Building(store, f"FROM {name}\n", lock).graph()
        where = caught.value.where
        assert where is not None
        assert (where.path, where.source) == ("a.lock", header((IMAGE, f"{name}:latest")))
        assert lock.text.splitlines()[where.line - 1] == where.source


def test_an_index_must_lead_where_the_lock_says(store: Store) -> None:
    lies: dict[Key, Pin] = {(IMAGE, "debian:12"): ImagePin(INDEX, DATE, {"linux/amd64": Digest.of(b"another")})}
    with pytest.raises(BadInputError, match="the lock contradicts itself") as caught:
        Building(store, "FROM debian:12\n", read(lies)).graph()
    assert caught.value.where is not None
    assert caught.value.where.source.startswith('"linux/amd64" = ')


def test_a_local_image_is_not_asked_for(store: Store) -> None:
    lock = read({(IMAGE, "mine:1"): ImagePin(INDEX, DATE, local=True)})
    building = Building(store, "FROM mine:1\n", lock)
    with pytest.raises(NotFoundError, match="only the store that mine:1 was locked in has its image"):
        building.graph()
    assert building.registry.asked == []


@given(st.sets(st.sampled_from("abcdef")), st.sets(st.sampled_from("abcdef"), min_size=1))
def test_a_build_is_locked_if_and_only_if_all_it_names_is_there(store: Store, there: set[str], named: set[str]) -> None:
    lock = read({(IMAGE, f"{name}:latest"): ImagePin(INDEX, DATE) for name in there})
    text = "FROM scratch\n" + "".join(f"COPY --from={name} / /\n" for name in sorted(named))
    building = Building(store, text, lock, LOCKED)
    if named <= there:
        building.graph()
        return
    with pytest.raises(UsageError) as caught:
        building.graph()
    signs = {line.strip()[0] + line.split('"')[1][0] for line in caught.value.message.splitlines()[1:]}
    assert signs == {f"+{name}" for name in named - there} | {f"-{name}" for name in there - named}
