from __future__ import annotations

import msgspec
import pytest
from msgspec.structs import replace

from builder.digest import Digest
from builder.graph.vertex import (
    BaseImage,
    BindMount,
    Copy,
    CopyFrom,
    InlineFile,
    Origin,
    Run,
    Scratch,
    SecretMount,
    Vertex,
    VertexId,
    Workdir,
)
from builder.image.platform import Platform
from builder.keys.preimage import chained, key_of, preimage
from tests.support.golden import CASES, check

AMD64 = Platform("linux", "amd64")
ZERO, ONE = VertexId(0), VertexId(1)
CHAINS = {0: Digest.of(b"zero"), 1: Digest.of(b"one")}
RUN = Run(ZERO, ("/bin/sh", "-c", "make"), (("A", "1"),), "/src", "app", "default", AMD64)
COPY = Copy(ZERO, None, ("a",), "/dest/")
VERTICES: dict[str, Vertex] = {
    "scratch": Scratch(AMD64),
    "base": BaseImage(Digest.of(b"m"), "base:latest", AMD64, Origin("FROM base")),
    "run": replace(RUN, scripts=(InlineFile("EOT", b"#!/bin/sh\n"),)),
    "copy": replace(COPY, source=ONE, inline=(InlineFile("f", b"text"),), chown="1:2", chmod="0644", unpack=True),
    "copy-bytes": replace(COPY, paths=("caf\udce9",)),
    "workdir": Workdir(ZERO, "/w", "app"),
}


@pytest.mark.parametrize("name", VERTICES)
def test_a_pre_image_is_what_it_was(name: str, accept: bool) -> None:
    """A change here changes every key of every store: it needs a new key version and a decision record."""
    directory = CASES / "keys"
    directory.mkdir(exist_ok=True)
    files = [Digest.of(b"files")] if name == "copy" else []
    document = preimage(VERTICES[name], CHAINS, files)
    check(directory / f"{name}.json", msgspec.json.format(document, indent=1).decode() + "\n", accept)


@pytest.mark.parametrize(
    "other",
    [
        replace(RUN, argv=("/bin/sh", "-c", "make all")),
        replace(RUN, env=(("A", "2"),)),
        replace(RUN, cwd="/"),
        replace(RUN, user=""),
        replace(RUN, network="none"),
        replace(RUN, platform=Platform("linux", "arm64")),
        replace(RUN, scripts=(InlineFile("EOT", b""),)),
        replace(RUN, parent=ONE),
    ],
)
def test_what_a_command_sees_is_in_its_key(other: Run) -> None:
    assert key_of(preimage(other, CHAINS)) != key_of(preimage(RUN, CHAINS))


@pytest.mark.parametrize(
    "other",
    [replace(RUN, origin=Origin("[9/9] RUN make", "later", 99)), replace(RUN, proxy_env=(("HTTP_PROXY", "p"),))],
)
def test_what_must_not_count_is_not(other: Run) -> None:
    assert key_of(preimage(other, CHAINS)) == key_of(preimage(RUN, CHAINS))


def test_only_the_content_of_an_input_counts() -> None:
    moved = replace(RUN, parent=VertexId(7))
    assert preimage(moved, {7: CHAINS[0]}) == preimage(RUN, CHAINS)


def test_the_selected_files_are_in_the_key() -> None:
    assert preimage(COPY, CHAINS, [Digest.of(b"a")]) != preimage(COPY, CHAINS, [Digest.of(b"b")])


def test_a_chain_depends_on_its_order() -> None:
    a, b, top = Digest.of(b"a"), Digest.of(b"b"), Digest.of(b"")
    assert chained(chained(top, a), b) != chained(chained(top, b), a)


def test_what_is_taken_of_an_input_stands_in_its_place() -> None:
    some, other, also = Digest.of(b"some"), Digest.of(b"other"), CopyFrom(ONE, ("b",))
    copy = replace(COPY, source=ONE, also=(also,))
    taken = msgspec.json.decode(preimage(copy, CHAINS, taken={copy: some, also: other}))
    assert (taken["parent"], taken["source"]) == (str(CHAINS[0]), str(some))
    assert taken["also"][0]["source"] == str(other)
    assert msgspec.json.decode(preimage(copy, CHAINS, taken={also: other}))["source"] == str(CHAINS[1])
    mount = BindMount("/m", "a", ONE)
    run = replace(RUN, mounts=(mount, replace(mount, source="")))
    shown = msgspec.json.decode(preimage(run, CHAINS, taken={mount: some}))["mounts"]
    assert [mount["origin"] for mount in shown] == [str(some), str(CHAINS[1])]


def test_what_stands_for_secrets_is_in_the_key_only_where_it_is_asked_for() -> None:
    mount = SecretMount("token", "/run/secrets/token")
    run = replace(RUN, mounts=(mount,))
    assert b"secrets" not in preimage(run, CHAINS).replace(b"/run/secrets/", b"")
    marked = preimage(run, CHAINS, marks=[("token", "hmac-sha256:00")])
    assert msgspec.json.decode(marked)["secrets"] == [["token", "hmac-sha256:00"]]
    assert preimage(run, CHAINS, marks=[("caf\udce9", "hmac-sha256:00")])
