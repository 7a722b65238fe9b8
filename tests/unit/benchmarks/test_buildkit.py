"""buildctl is asked for what the others do; a stand-in for it tells what it was asked."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from benchmarks.base import write_base
from benchmarks.peers.base import PeerError
from benchmarks.peers.buildkit import Buildkit

SAYS = """#!/bin/sh
echo "$@" >>"$HOME/asked"
case "$*" in *--version) echo 'buildctl github.com/moby/buildkit v0.20.1 deadbeef';; esac
case "$*" in *info) echo 'BuildKit: github.com/moby/buildkit v0.20.0 deadbeef';; esac
case "$*" in *workers*) echo '  org.mobyproject.buildkit.worker.snapshotter:	overlayfs';; esac
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    write_base(tmp_path / "base.tar")
    return tmp_path / "home"


@pytest.fixture
def buildkit(home: Path) -> Buildkit:
    program = home.parent / "buildctl"
    program.write_text(SAYS)
    program.chmod(0o755)
    peer = Buildkit(program, "tcp://somewhere:1")
    peer.setup(home, home.parent / "base.tar")
    return peer


def asked(home: Path) -> str:
    return (home / "asked").read_text().splitlines()[-1]


def test_the_base_is_a_layout_whose_blobs_are_what_they_are_called(buildkit: Buildkit, home: Path) -> None:
    blobs = home / "base" / "blobs" / "sha256"
    for blob in blobs.iterdir():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    (top,) = json.loads((home / "base" / "index.json").read_text())["manifests"]
    manifest = json.loads((blobs / top["digest"].removeprefix("sha256:")).read_bytes())
    for described in (manifest["config"], *manifest["layers"]):
        assert (blobs / described["digest"].removeprefix("sha256:")).stat().st_size == described["size"]
    assert f"--oci-layout bench={home}/base --opt context:base=oci-layout://bench@{top['digest']}" in asked(home)


def test_builds_have_no_network_and_the_cache_that_is_wanted(buildkit: Buildkit, home: Path, tmp_path: Path) -> None:
    buildkit.build(tmp_path)
    assert asked(home).startswith("--addr tcp://somewhere:1 build --progress plain --frontend dockerfile.v0 ")
    assert f"--local context={tmp_path} --local dockerfile={tmp_path} " in asked(home)
    assert "--opt force-network-mode=none" in asked(home)
    assert "--no-cache" not in asked(home)
    buildkit.build_to(tmp_path / "a.tar", tmp_path, use_cache=False)
    assert asked(home).endswith(f"--no-cache --output type=oci,dest={tmp_path}/a.tar")


def test_what_is_saved_is_what_was_built_last(buildkit: Buildkit, home: Path, tmp_path: Path) -> None:
    buildkit.build(tmp_path, use_cache=False)
    buildkit.save(tmp_path / "a.tar")
    assert f"--local context={tmp_path} " in asked(home)
    assert asked(home).endswith(f"--output type=docker,name=bench,dest={tmp_path}/a.tar")
    assert "--no-cache" not in asked(home)


def test_facts_are_of_client_and_daemon(buildkit: Buildkit) -> None:
    assert buildkit.facts() == {"client": "v0.20.1", "version": "v0.20.0", "storage": "overlayfs"}


@pytest.mark.parametrize("given", [None, Path("/nowhere/buildctl"), Path("/usr")])
def test_without_a_client_the_reason_is_told(given: Path | None, home: Path) -> None:
    with pytest.raises(PeerError, match=r"--buildctl PATH|is no program"):
        Buildkit(given).setup(home, home.parent / "base.tar")
