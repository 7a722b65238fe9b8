"""Disks that are full, fail, or are read-only at any moment, and places that are none for a store: clear words.

What was there stays, what failed leaves nothing, and when the disk works again so does everything.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from builder.errors import StoreError
from builder.store.place import check_files
from tests.support.program import Pybuild

TEXT = """FROM base AS one
ARG N
RUN echo $N > /n
COPY given /given
FROM one
RUN --mount=type=cache,target=/c cat /n | tee /c/n > /out
"""
# What disks say, and what the user is told.
FAILURES = {
    "ENOSPC": "no space left for the store",
    "EDQUOT": "no space left for the store",
    "EIO": "the disk of the store in|the store's database cannot be read or written",
    "EROFS": "read-only",
}
# Where a build waits for the disk or changes a name. Some of it is not needed, and may fail without a word.
POINTS = (
    "blob:renamed", "blob:written", "db:commit", "file:renamed", "file:written", "image:manifest", "key:locked",
    "layer:added", "lease:taken", "leases:generation", "scratch:made", "snapshot:commit", "snapshot:renamed",
)  # fmt: skip


@pytest.fixture
def based(pybuild: Pybuild) -> Pybuild:
    pybuild.base()
    pybuild.file("given", "given")
    pybuild.build(TEXT, "--build-arg", "N=first", "-t", "kept").ok()
    return pybuild


@contextmanager
def mounted(place: Path, kind: str, *options: str) -> Iterator[Path]:
    place.mkdir()
    subprocess.run(["mount", "-t", kind, *options, kind, place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def clean(pybuild: Pybuild) -> None:
    """Nothing is damaged, nothing is left in the making, and what was there is."""
    done = pybuild.try_("cache", "verify")
    assert done.returncode == 0, done.stdout
    assert list((pybuild.root / "tmp").iterdir()) == []
    assert {"kept", "base"} <= set(pybuild("images").split())


@pytest.mark.parametrize("failure", FAILURES)
def test_the_disk_fails_at_any_point_of_a_build(based: Pybuild, failure: str) -> None:
    failed = 0
    for number, point in enumerate(POINTS):
        built = based.build(
            TEXT, "--build-arg", f"N={failure}{number}", "-t", "app", PYBUILD_POINT=f"{point}={failure}"
        )
        assert built.status in (0, 6), f"{point}: {built.err}"
        if built.status:
            failed += 1
            assert any(words in built.err for words in FAILURES[failure].split("|")), f"{point}: {built.err}"
            assert "hint: " in built.err
    assert failed >= 10
    clean(based)
    based.build(TEXT, "--build-arg", "N=last", "-t", "app").ok()
    assert based.shell("app", "cat /out") == "last\n"


def test_a_disk_that_fills_up(tmp_path: Path, pybuild: Pybuild) -> None:
    with mounted(tmp_path / "disk", "tmpfs", "-o", "size=12m") as place:
        full = replace(pybuild, root=place / "store")
        full.base()
        full.file("given", "given")
        full.build(TEXT, "--build-arg", "N=first", "-t", "kept").ok()
        for size in (1, 2, 3, 8):  # some fit as files and not as blobs
            text = f"FROM base\nRUN dd if=/dev/urandom of=/big bs=1M count={size} 2>&1\n" * 2
            built = full.build(text)
            if built.status:
                assert built.status in (1, 6), built.err  # dd itself finds it full
                assert "No space left on device" in built.err or "no space left for the store" in built.err
        assert built.status
        full("cache", "prune", "--all", "--force")
        clean(full)
        full.build(TEXT, "--build-arg", "N=last", "-t", "app").ok()


def test_a_disk_that_becomes_read_only(tmp_path: Path, pybuild: Pybuild) -> None:
    with mounted(tmp_path / "disk", "tmpfs") as place:
        store = replace(pybuild, root=place / "store")
        store.base()
        store.file("given", "given")
        store.build(TEXT, "--build-arg", "N=first", "-t", "kept").ok()
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)
        for command in (("images",), ("build", "."), ("cache", "verify"), ("cache", "du"), ("tag", "kept", "x")):
            done = store.try_(*command)
            assert done.returncode in (0, 6), done.stderr
            assert not done.returncode or "read-only" in done.stderr
        subprocess.run(["mount", "-o", "remount,rw", place], check=True)
        clean(store)


def test_a_file_system_without_attributes_is_no_place(tmp_path: Path, pybuild: Pybuild) -> None:
    with mounted(tmp_path / "disk", "ramfs") as place:
        done = replace(pybuild, root=place / "store").try_("images")
        assert done.returncode == 6
        assert "keeps no extended attributes" in done.stderr
        assert "--root DIR" in done.stderr


def test_nor_is_one_that_takes_upper_case_for_lower_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    check_files(tmp_path)
    own = os.lstat
    monkeypatch.setattr(os, "lstat", lambda path: own(str(path).replace("PROBE-", "probe-").lower()))
    with pytest.raises(StoreError, match="A and a"):
        check_files(tmp_path)
    assert list((tmp_path / "tmp").iterdir()) == []
