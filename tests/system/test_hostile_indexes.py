"""Indexes that lie, in archives: an error that says what is wrong, or what is right of them, and a store as it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from builder.api.images import inspect, load, untag
from builder.api.session import Session
from builder.errors import BadInputError, NotFoundError, PybuildError
from tests.system.test_hostile_archives import CONFIG, MANIFEST, archive, described, oci, sha

INDEX = "index.v1+json"
NAME = {"annotations": {"org.opencontainers.image.ref.name": "evil:1"}}
NONE = {"os": "unknown", "architecture": "unknown"}
OWN = {"os": "linux", "architecture": "amd64"}
GOOD = {**described(MANIFEST, "manifest.v1+json"), "platform": OWN}


def layout(index: bytes, **more: bytes) -> bytes:
    """An archive whose one name is that of `index`."""
    files = oci(
        index_json=json.dumps({"schemaVersion": 2, "manifests": [{**described(index, INDEX), **NAME}]}).encode()
    )
    files[f"blobs/sha256/{sha(index)}"] = index
    return archive({**files, **{f"blobs/sha256/{sha(data)}": data for data in more.values()}})


def naming(*entries: dict[str, Any], **more: Any) -> bytes:
    document = {"schemaVersion": 2, "mediaType": f"application/vnd.oci.image.{INDEX}", "manifests": entries, **more}
    return json.dumps(document).encode()


def nested(depth: int) -> bytes:
    """An index in an index, so deep."""
    index, more = naming(GOOD), {}
    for number in range(depth):
        more[f"index{number}"] = index
        index = naming({**described(index, INDEX), "platform": OWN})
    return layout(index, **more)


def platform(**changed: str) -> bytes:
    return layout(naming({**GOOD, "platform": {**OWN, **changed}}))


LIES: dict[str, tuple[bytes, str]] = {
    "no images": (layout(naming()), "the image is not made for"),
    "a name with colours": (platform(architecture="\x1b[31mred"), "architecture is not a name"),
    "a name without end": (platform(variant="v" * 5000), "variant is not a name"),
    "an image that is none": (layout(naming({**GOOD, **described(CONFIG, "manifest.v1+json")})), "neither an image"),
    "an image that is an index": (
        layout(naming({**GOOD, **described(naming(GOOD), "manifest.v1+json")}), inner=naming(GOOD)),
        "an image index stands where",
    ),
    "a wrong size": (layout(naming({**GOOD, "size": len(MANIFEST) - 1})), "bytes"),
    "a size of 4 billion": (layout(naming({**GOOD, "size": 4_000_000_000})), "more than"),
    "a size below nothing": (layout(naming({**GOOD, "size": -1})), "-1 bytes"),
    "a climbing digest": (layout(naming({**GOOD, "digest": "sha256:../../x"})), "not a usable digest"),
    "an attestation that is not whole": (
        layout(
            naming(GOOD, {**described(b"{}", "manifest.v1+json"), "platform": NONE}),
            told=b"{}",
        ),
        "neither an image manifest nor an index",
    ),
    "indexes nested too deep": (nested(6), "nested too deep"),
}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with Session(tmp_path_factory.mktemp("lies") / "store") as session:
        yield session


@pytest.mark.parametrize("lie", LIES)
def test_lies_are_told_of(session: Session, tmp_path_factory: pytest.TempPathFactory, lie: str) -> None:
    data, message = LIES[lie]
    path = tmp_path_factory.mktemp("lie") / "lie.tar"
    path.write_bytes(data)
    with pytest.raises((BadInputError, NotFoundError)) as caught:
        load(session, str(path))
    assert message in caught.value.message
    assert caught.value.message.isprintable()
    assert session.store.images.all() == []
    assert session.store.images.indexes() == []
    assert not list((session.store.root / "tmp").iterdir())


@pytest.mark.parametrize(
    "entries",
    [
        [GOOD, GOOD],
        [GOOD, {**GOOD, "platform": {"os": "linux", "architecture": "s390x"}}],
        [GOOD, {**described(b"windows", "manifest.v1+json"), "platform": {"os": "windows", "architecture": "amd64"}}],
        [GOOD, *({**GOOD, "digest": f"sha256:{number:064x}"} for number in range(10_000))],
        [{**GOOD, "platform": {"os": "linux", "architecture": "vax"}}],
        [{**GOOD, "platform": None}],
        [{**GOOD, "annotations": {"\x1b[31m": "\x1b[0m"}, "unknown": [{}]}],
    ],
    ids=[
        "twice",
        "for two platforms",
        "a foreign one",
        "ten thousand",
        "for another one",
        "for none",
        "with strange words",
    ],
)
def test_what_is_right_of_an_index_is_taken(
    session: Session, tmp_path_factory: pytest.TempPathFactory, entries: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("index") / "index.tar"
    path.write_bytes(layout(naming(*entries)))
    (loaded,) = load(session, str(path))
    assert loaded.names == ("evil:1",)
    assert inspect(session, "evil:1")["Id"] == f"sha256:{sha(CONFIG)}"
    assert len(session.store.images.all()) == 1
    untag(session, ["evil:1"])
    assert session.store.images.all() == []
    assert list(session.store.blobs.all()) == []


def test_an_index_within_one_gives_the_image_that_fits(
    session: Session, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("index") / "index.tar"
    path.write_bytes(nested(2))
    (loaded,) = load(session, str(path))
    assert loaded == session.store.images.find("evil:1")
    assert session.store.images.indexes() == []
    untag(session, ["evil:1"])
    with pytest.raises(PybuildError):
        inspect(session, "evil:1")
