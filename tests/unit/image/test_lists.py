from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import NotFoundError
from builder.image.descriptor import Descriptor
from builder.image.lists import Words, added, annotated, changed, encoded, nothing, read, removed
from builder.image.manifest import UNKNOWN, Index, IndexEntry, listed, parse
from builder.image.mediatypes import ATTESTATION, OCI_MANIFEST, REFERENCE_TYPE
from builder.image.platform import Platform

ARM = Platform.parse("linux/arm/v7")


def entry(content: bytes, platform: Platform | None = ARM) -> IndexEntry:
    return IndexEntry(Descriptor(OCI_MANIFEST, Digest.of(content), len(content)), platform)


def test_what_is_put_together_is_an_index() -> None:
    document = added(added(nothing(), entry(b"one"), Words()), entry(b"two", None), Words())
    found = parse(encoded(document))
    assert found == Index((entry(b"one"), entry(b"two", None)))
    assert encoded(document) == Index((entry(b"one"), entry(b"two", None))).to_json()


def test_an_entry_for_the_same_manifest_is_put_in_its_place() -> None:
    document = added(added(nothing(), entry(b"one"), Words()), entry(b"two"), Words())
    again = added(document, entry(b"one"), Words(architecture="arm64", annotations=(("a", "b"),)))
    first, second = again["manifests"]
    assert first["platform"] == {"architecture": "arm64", "os": "linux"}
    assert first["annotations"] == {"a": "b"}
    assert second == document["manifests"][1]


def test_what_is_not_touched_stays_as_it_was() -> None:
    windows = {
        "digest": str(Digest.of(b"w")), "size": 1, "mediaType": OCI_MANIFEST, "artifactType": "x", "data": "eA==",
        "platform": {"os": "windows", "architecture": "amd64", "os.version": "10.0", "strange": [1]},
    }  # fmt: skip
    given = {"schemaVersion": 2, "manifests": [windows], "subject": {"digest": "sha256:0"}, "own": {"k": None}}
    document = read(msgspec.json.encode(given))
    more = added(document, entry(b"one"), Words())
    assert more["manifests"][0] == windows
    assert removed(more, Digest.of(b"one")) == given
    told = changed(document, Digest.of(b"w"), Words(variant="v2", annotations=(("k", "v"),)))
    assert told["manifests"][0] == {
        **windows,
        "platform": {**windows["platform"], "variant": "v2"},  # type: ignore[dict-item]
        "annotations": {"k": "v"},
    }
    assert annotated(annotated(document, (("a", "1"),)), (("b", "2"),)) == {
        **given,
        "annotations": {"a": "1", "b": "2"},
    }
    assert document == given


def test_what_is_not_there_is_told() -> None:
    with pytest.raises(NotFoundError):
        removed(nothing(), Digest.of(b"x"))
    with pytest.raises(NotFoundError):
        changed(nothing(), Digest.of(b"x"), Words())


def test_an_index_tells_images_from_what_is_beside_them() -> None:
    told = replace(entry(b"t").descriptor, annotations=((REFERENCE_TYPE, ATTESTATION),))
    foreign, nowhere = Platform("windows", "amd64"), Platform(UNKNOWN, UNKNOWN)
    entries = (entry(b"a"), entry(b"w", foreign), entry(b"n", None), entry(b"u", nowhere), IndexEntry(told, ARM))
    index = Index(entries, annotations=(("k", "v"),))
    assert parse(index.to_json()) == index
    assert index.images == entries[:3]
    assert [each.loadable for each in entries] == [True, False, True, False, False]
    assert index.select(ARM) == entries[0].descriptor
    with pytest.raises(NotFoundError) as caught:
        index.select(Platform.parse("s390x"))
    assert caught.value.hint == "it is made for: linux/arm/v7, windows/amd64"


def test_very_many_platforms_are_listed_in_part() -> None:
    many = [Platform("linux", f"a{number}") for number in range(25)]
    assert listed([*many, None, *many]) == f"{', '.join(map(str, many[:20]))} and 5 more"
    assert listed([None]) == ""
