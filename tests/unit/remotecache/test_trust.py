from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from builder.digest import Digest
from builder.errors import BadInputError, PybuildError
from builder.image.descriptor import Descriptor
from builder.image.mediatypes import OCI_MANIFEST
from builder.remotecache.document import ENTRIES, Contents, Mount, Shard, parse, to_json
from builder.remotecache.trust import checking, keys
from builder.signing.keys import generate

PART = Descriptor(OCI_MANIFEST, Digest.of(b"m"), 3)
CONTENTS = Contents(0, {0: Shard(PART, Descriptor(ENTRIES, Digest.of(b"e"), 4))}, {"name": Mount("pip", PART)})


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COSIGN_PASSWORD", "secret")
    private, public = generate(b"secret")
    (tmp_path / "a.key").write_bytes(private)
    (tmp_path / "a.pub").write_bytes(public)
    return tmp_path / "a"


def test_what_is_signed_passes_and_nothing_else_does(pair: Path) -> None:
    check = checking(f"{pair}.pub")
    signed = keys(f"{pair}.key").signed(CONTENTS)
    check(parse(to_json(signed)))
    other = Descriptor(ENTRIES, Digest.of(b"another"), 4)
    for changed in (
        CONTENTS,
        replace(signed, signature="!!"),
        replace(signed, signature=signed.signature[:-8] + "AAAAAAA="),
        replace(signed, shards={}),
        replace(signed, mounts={}),
        replace(signed, bits=1),
        replace(signed, shards={0: Shard(PART, other)}),
    ):
        with pytest.raises(BadInputError):
            check(changed)


def test_signing_again_says_the_same_of_the_same(pair: Path) -> None:
    own = keys(f"{pair}.key")
    own.check(own.signed(own.signed(CONTENTS)))


def test_without_a_key_nothing_is_signed_or_asked_for() -> None:
    none = keys("")
    assert none.signed(CONTENTS) == CONTENTS
    none.check(CONTENTS)


def test_keys_that_cannot_be_read_are_told(pair: Path) -> None:
    for path in (f"{pair}.key", f"{pair}.none"):
        with pytest.raises(PybuildError):
            checking(path)
    with pytest.raises(PybuildError):
        keys(f"{pair}.pub")
