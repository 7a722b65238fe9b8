"""Images that must be signed, against Debian's docker-registry."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from builder.digest import Digest
from builder.image.manifest import Index, parse
from builder.image.mediatypes import OCI_MANIFEST
from builder.image.reference import Reference
from builder.signing.cosign import LAYER, SIGNATURE, signed, tag_of
from builder.signing.keys import generate, read_private
from tests.support.program import Pybuild
from tests.support.registry import Registry


@dataclass
class Signing:
    """A registry, the pair of keys `key` and `key.pub`, and another in `other`."""

    registry: Registry
    keys: Path

    @property
    def public(self) -> str:
        return str(self.keys / "key.pub")

    def sign(self, name: str, digest: str, key: str = "key", claimed: str = "") -> None:
        """Sign a manifest of the repository `name` as an image of `claimed`, or of itself."""
        reference = Reference.parse(f"{self.registry.address}/{claimed or name}:1")
        found = signed(reference, Digest.parse(digest), read_private(str(self.keys / key), lambda: b""), None)
        assert found is not None
        for blob in found.blobs:
            self.registry.put_blob(name, blob)
        self.registry.put_manifest(name, tag_of(Digest.parse(digest)), found.manifest.to_json(), OCI_MANIFEST)

    def digest(self, name: str) -> str:
        return str(Digest.of(self.registry.manifest(name)))


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signing]:
    directory = tmp_path_factory.mktemp("signing")
    for name in ("key", "other"):
        private, public = generate(b"")
        (directory / name).write_bytes(private)
        (directory / f"{name}.pub").write_bytes(public)
    made = Pybuild(directory / "root", directory)
    made("import", "--from-host", "sh", "base")
    made("save", "--format", "oci", "base", "-o", "base.tar")
    with Registry(directory) as registry:
        for name in ("signed", "plain", "other", "moved", "listed"):
            registry.push(f"oci-archive:{directory}/base.tar", f"{name}:1")
        yield Signing(registry, directory)


def test_a_signed_image_is_pulled(pybuild: Pybuild, signing: Signing) -> None:
    signing.sign("signed", signing.digest("signed:1"))
    pybuild("pull", "--verify-key", signing.public, f"{signing.registry.address}/signed:1")
    # Also by its digest, also with several keys of which one is right.
    by_digest = f"{signing.registry.address}/signed@{signing.digest('signed:1')}"
    pybuild("pull", "--verify-key", f"{signing.keys}/other.pub", "--verify-key", signing.public, by_digest)


def refused(pybuild: Pybuild, *arguments: str) -> str:
    done = pybuild.try_(*arguments)
    assert done.returncode == 5, done.stderr
    return done.stderr


def test_one_that_is_not_is_not(pybuild: Pybuild, signing: Signing) -> None:
    name = f"{signing.registry.address}/plain:1"
    told = refused(pybuild, "pull", "--verify-key", signing.public, name)
    assert "has no signature" in told
    assert name in told
    assert pybuild("images", "-q") == ""
    pybuild("pull", name)


def test_nor_one_that_others_signed(pybuild: Pybuild, signing: Signing) -> None:
    signing.sign("other", signing.digest("other:1"), key="other")
    name = f"{signing.registry.address}/other:1"
    assert "by another key" in refused(pybuild, "pull", "--verify-key", signing.public, name)


def test_nor_one_that_is_signed_for_another_repository(pybuild: Pybuild, signing: Signing) -> None:
    signing.sign("moved", signing.digest("moved:1"), claimed="signed")
    name = f"{signing.registry.address}/moved:1"
    assert "one is for" in refused(pybuild, "pull", "--verify-key", signing.public, name)


def test_a_signature_of_the_index_is_one_of_its_images(pybuild: Pybuild, signing: Signing) -> None:
    image = signing.registry.manifest("listed:1")
    entry = parse(image)
    assert not isinstance(entry, Index)
    index = (
        b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"%b",'
        b'"digest":"%b","size":%d,"platform":{"os":"linux","architecture":"amd64"}}]}'
        % (OCI_MANIFEST.encode(), str(Digest.of(image)).encode(), len(image))
    )
    signing.registry.put_manifest("listed", "index", index, "application/vnd.oci.image.index.v1+json")
    name = f"{signing.registry.address}/listed:index"
    refused(pybuild, "pull", "--verify-key", signing.public, name)
    signing.sign("listed", str(Digest.of(index)))
    pybuild("pull", "--verify-key", signing.public, name)


def test_bases_of_builds(pybuild: Pybuild, signing: Signing) -> None:
    signing.sign("signed", signing.digest("signed:1"))
    good, bad = (f"FROM {signing.registry.address}/{name}:1\nRUN echo\n" for name in ("signed", "plain"))
    pybuild.build(good, "--verify-key", signing.public).ok()
    assert "has no signature" in pybuild.build(bad, "--verify-key", signing.public).err
    # What is here already must be signed, too.
    pybuild.build(bad).ok()
    done = pybuild.build(bad, "--verify-key", signing.public)
    assert done.status == 5
    assert "has no signature" in done.err
    copied = f"FROM scratch\nCOPY --from={signing.registry.address}/plain:1 /bin/sh /\n"
    assert pybuild.build(copied, "--verify-key", signing.public).status == 5


def test_what_was_checked_is_not_asked_for_again(pybuild: Pybuild, signing: Signing) -> None:
    signing.sign("signed", signing.digest("signed:1"))
    text = f"FROM {signing.registry.address}/signed:1\nRUN echo\n"
    pybuild.build(text, "--verify-key", signing.public).ok()
    pybuild.build(text, "--verify-key", signing.public, "--offline").ok()
    done = pybuild.build(text, "--verify-key", f"{signing.keys}/other.pub", "--offline")
    assert done.status == 2


def test_what_has_no_name_in_a_registry(pybuild: Pybuild, signing: Signing) -> None:
    pybuild("import", "--from-host", "sh", "base")
    image = pybuild("images", "-q").strip()
    done = pybuild.build(f"FROM {image}\n", "--verify-key", signing.public)
    assert done.status == 5
    assert "cannot be found out" in done.err
    pybuild("save", "--format", "oci", "base", "-o", "base.tar")
    subprocess.run(["tar", "-C", pybuild.file("layout/x", "").parent, "-xf", pybuild.work / "base.tar"], check=True)
    assert pybuild.build("FROM oci-layout:layout\n", "--verify-key", signing.public).status == 5


def test_a_rule_for_a_prefix(pybuild: Pybuild, signing: Signing, tmp_path: Path) -> None:
    signing.sign("signed", signing.digest("signed:1"))
    config = tmp_path / "config/pybuild/config.toml"
    config.parent.mkdir(parents=True)
    address = signing.registry.address
    config.write_text(f'[[registry]]\nprefix = "{address}"\nverify-key = "{signing.public}"\n')
    env = {"XDG_CONFIG_HOME": str(tmp_path / "config")}
    pybuild("pull", f"{address}/signed:1", **env)
    assert pybuild.try_("pull", f"{address}/plain:1", **env).returncode == 5
    assert pybuild.build(f"FROM {address}/plain:1\n", **env).status == 5
    config.write_text(f'[[registry]]\nprefix = "{address}"\nverify-key = "key.pub"\n')
    assert pybuild.try_("pull", f"{address}/signed:1", **env).returncode == 2


def test_keys_that_are_none(pybuild: Pybuild, signing: Signing) -> None:
    name = f"{signing.registry.address}/signed:1"
    assert pybuild.try_("pull", "--verify-key", "none.pub", name).returncode == 4
    assert pybuild.try_("pull", "--verify-key", f"{signing.keys}/key", name).returncode == 5


# --- what a registry may give instead of signatures --------------------------------------------------


@pytest.mark.parametrize(
    "manifest",
    [
        b"{}",
        b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}',
    ],
)
def test_what_is_no_image_of_signatures(pybuild: Pybuild, signing: Signing, manifest: bytes) -> None:
    digest = signing.digest("plain:1")
    kind = "application/vnd.oci.image.index.v1+json" if b"index" in manifest else OCI_MANIFEST
    try:
        signing.registry.put_manifest("plain", tag_of(Digest.parse(digest)), manifest, kind)
    except OSError:
        return  # the registry itself refuses it
    refused(pybuild, "pull", "--verify-key", signing.public, f"{signing.registry.address}/plain:1")


def test_very_many_signatures_that_are_none(pybuild: Pybuild, signing: Signing) -> None:
    digest = Digest.parse(signing.digest("plain:1"))
    signing.registry.put_blob("plain", b"junk")
    layer = f'{{"mediaType":"{LAYER}","digest":"{Digest.of(b"junk")}","size":4,"annotations":{{"{SIGNATURE}":"AAAA"}}}}'
    head = f'{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{layer},"layers":['
    data = f"{head}{','.join([layer] * 900)}]}}".encode()
    signing.registry.put_manifest("plain", tag_of(digest), data, OCI_MANIFEST)
    told = refused(pybuild, "pull", "--verify-key", signing.public, f"{signing.registry.address}/plain:1")
    assert "more than 128 are not tried" in told
