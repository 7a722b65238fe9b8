from __future__ import annotations

from typing import Any

import msgspec
import pytest

from builder.digest import Digest
from builder.errors import BadInputError
from builder.image.cachemount import (
    ARTIFACT,
    CONFIG,
    PACK,
    About,
    Contents,
    PackFacts,
    manifest,
    parse_contents,
    parse_manifest,
)
from builder.image.descriptor import Descriptor

DIGEST = Digest.of(b"x")
BLOBS = (Descriptor(PACK, DIGEST, 5), Descriptor(PACK, Digest.of(b"y"), 6))
CONTENTS = Contents(1, About("pip"), 7, (PackFacts(str(DIGEST), 10, goes_on=True), PackFacts(str(DIGEST), 11)))


def test_the_name_is_that_of_stores_there_are() -> None:
    about = About("pip", str(DIGEST), "src", "700", 1, 2)
    document = f'{{"from":"{DIGEST}","gid":2,"id":"pip","mode":"700","source":"src","uid":1}}'.encode()
    assert about.document() == document
    assert about.name == Digest.of(document).hex
    assert About("pip").name != About("pip", mode="700").name


def test_documents_are_read_as_they_were_written() -> None:
    config = CONTENTS.to_json()
    assert parse_contents(config, BLOBS, 100) == CONTENTS
    assert parse_manifest(manifest(config, BLOBS)) == (Descriptor(CONFIG, Digest.of(config), len(config)), BLOBS)
    assert msgspec.json.decode(manifest(config, BLOBS))["artifactType"] == ARTIFACT


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"artifactType": "application/vnd.other"}, "not a cache mount: the archive holds application/vnd.other"),
        ({"layers": [{"mediaType": "text/plain", "digest": str(DIGEST), "size": 1}]}, "not a cache mount"),
        ({"layers": [{"mediaType": PACK, "digest": "sha256:../../x", "size": 1}]}, "not a usable digest"),
        ({"layers": [{"mediaType": PACK, "digest": str(DIGEST), "size": -1}]}, "size below zero"),
        ({"layers": "many"}, "cannot be read"),
        ({"config": None}, "cannot be read"),
    ],
)
def test_a_manifest_of_anything_else_is_refused(change: dict[str, Any], said: str) -> None:
    document = msgspec.json.decode(manifest(CONTENTS.to_json(), BLOBS))
    with pytest.raises(BadInputError, match=said):
        parse_manifest(msgspec.json.encode(document | change))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"v": 2}, "has version 2"),
        ({"packs": []}, "2 packs where its config names 0"),
        ({"packs": [{"diff_id": str(DIGEST), "size": 101}] * 2}, "a pack of 101 bytes"),
        ({"packs": [{"diff_id": str(DIGEST), "size": 0}] * 2}, "a pack of 0 bytes"),
        ({"packs": [{"diff_id": "md5:1", "size": 1}] * 2}, "not a usable digest"),
        ({"about": {"id": "a\x1b[2J"}}, "what cannot be"),
        ({"about": {"id": ""}}, "what cannot be"),
        ({"about": {"id": "n" * 5000}}, "what cannot be"),
        ({"about": {"id": "a", "mode": "0o7"}}, "what cannot be"),
        ({"about": {"id": "a", "mode": "77777"}}, "what cannot be"),
        ({"about": {"id": "a", "uid": -1}}, "what cannot be"),
        ({"about": {"id": "a", "from": "elsewhere"}}, "not a usable digest"),
        ({"about": "x"}, "cannot be read"),
    ],
)
def test_contents_that_cannot_be_are_refused(change: dict[str, Any], said: str) -> None:
    document = msgspec.json.decode(CONTENTS.to_json())
    with pytest.raises(BadInputError, match=said):
        parse_contents(msgspec.json.encode(document | change), BLOBS, 100)
