"""Images that must be signed, against Debian's docker-registry."""

from __future__ import annotations

import base64
import json
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
    # A lock pins the index, so that its signature is found; also where the store has the image without the index.
    pybuild.file("Buildfile", f"FROM {name}\n")
    pybuild("lock")
    signing.registry.put_manifest("listed", "index", image, OCI_MANIFEST)
    elsewhere = Pybuild(pybuild.root.with_name("elsewhere"), pybuild.work)
    elsewhere("pull", f"{signing.registry.address}/listed@{Digest.of(image)}")
    for program in (Pybuild(pybuild.root.with_name("empty"), pybuild.work), elsewhere):
        program("build", "--locked", "--verify-key", signing.public, ".")


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


# --- signing -----------------------------------------------------------------------------------------


def openssl(*arguments: str) -> None:
    """A program of others that knows what a signature is."""
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def test_what_is_pushed_is_signed(pybuild: Pybuild, signing: Signing, tmp_path: Path) -> None:
    name = f"{signing.registry.address}/pushed:1"
    pybuild("import", "--from-host", "sh", name)
    told = pybuild("push", "--sign-key", f"{signing.keys}/key", name, COSIGN_PASSWORD="")
    digest = signing.digest("pushed:1")
    assert f"1: signed: {digest}" in told
    other = Pybuild(tmp_path / "other", pybuild.work)
    other("pull", "--verify-key", signing.public, name)
    assert refused(other, "pull", "--verify-key", f"{signing.keys}/other.pub", name)
    # As others see it: a layer whose bytes openssl finds to be signed.
    (layer,) = json.loads(signing.registry.manifest(f"pushed:{tag_of(Digest.parse(digest))}"))["layers"]
    (tmp_path / "signature").write_bytes(base64.b64decode(layer["annotations"][SIGNATURE]))
    payload = signing.registry.blob(layer["digest"])
    assert json.loads(payload.read_text())["critical"]["identity"]["docker-reference"] == name
    options = ("-sha256", "-verify", signing.public, "-signature", str(tmp_path / "signature"))
    openssl("dgst", *options, str(payload))


def test_signing_again_changes_nothing_and_another_adds(pybuild: Pybuild, signing: Signing) -> None:
    name = f"{signing.registry.address}/again:1"
    pybuild("import", "--from-host", "sh", name)
    tags = []
    for key in ("key", "key", "other"):
        pybuild("push", "--sign-key", f"{signing.keys}/{key}", name, COSIGN_PASSWORD="")
        tags.append(signing.registry.manifest(f"again:{tag_of(Digest.parse(signing.digest('again:1')))}"))
    assert tags[0] == tags[1]
    assert len(json.loads(tags[2])["layers"]) == 2
    for key in ("key", "other"):
        pybuild("pull", "--verify-key", f"{signing.keys}/{key}.pub", name)


def test_a_build_signs_its_index_and_its_images(pybuild: Pybuild, signing: Signing) -> None:
    name = f"{signing.registry.address}/built:1"
    options = ("--platform", "linux/amd64,linux/arm64", "--push", "--sign-key", f"{signing.keys}/key", "-t", name)
    pybuild.build("FROM scratch\nWORKDIR /x\n", *options, COSIGN_PASSWORD="").ok()
    index = signing.registry.manifest("built:1")
    digests = [str(Digest.of(index)), *(entry["digest"] for entry in json.loads(index)["manifests"])]
    for digest in digests:
        pybuild("pull", "--platform", "linux/arm64" if digest == digests[2] else "linux/amd64",
                "--verify-key", signing.public, f"{signing.registry.address}/built@{digest}")  # fmt: skip


def test_keys_are_made(pybuild: Pybuild, signing: Signing) -> None:
    told = pybuild("keygen", COSIGN_PASSWORD="t0p-secret")
    assert told == "Private key written to cosign.key\nPublic key written to cosign.pub\n"
    assert (pybuild.work / "cosign.key").stat().st_mode & 0o777 == 0o600
    assert pybuild.try_("keygen", COSIGN_PASSWORD="").returncode == 2
    name = f"{signing.registry.address}/made:1"
    pybuild("import", "--from-host", "sh", name)
    wrong = pybuild.try_("push", "--sign-key", "cosign.key", name, COSIGN_PASSWORD="t0p-secrets")
    assert wrong.returncode == 2
    assert "t0p-secret" not in wrong.stdout + wrong.stderr
    pybuild("push", "--sign-key", "cosign.key", name, COSIGN_PASSWORD="t0p-secret")
    pybuild("pull", "--verify-key", "cosign.pub", name)


def test_keys_of_openssl_sign(pybuild: Pybuild, signing: Signing, tmp_path: Path) -> None:
    private, public = str(tmp_path / "plain.pem"), str(tmp_path / "plain.pub")
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", private)
    openssl("pkey", "-in", private, "-pubout", "-out", public)
    name = f"{signing.registry.address}/openssl:1"
    pybuild("import", "--from-host", "sh", name)
    pybuild("push", "--sign-key", private, name)
    pybuild("pull", "--verify-key", public, name)


def test_a_key_that_is_none_ends_it_before_anything_is_sent(pybuild: Pybuild, signing: Signing) -> None:
    name = f"{signing.registry.address}/never:1"
    pybuild("import", "--from-host", "sh", name)
    assert pybuild.try_("push", "--sign-key", signing.public, name).returncode == 5
    assert pybuild.try_("push", "--sign-key", f"{signing.keys}/key", name).returncode == 2  # nobody to ask
    assert pybuild.build("FROM scratch\n", "--push", "-t", name, "--sign-key", "none").status == 4
    assert pybuild.build("FROM scratch\n", "-t", name, "--sign-key", f"{signing.keys}/key").status == 2
    assert pybuild.try_("pull", name).returncode == 4


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
