"""Any number of processes on one store: nothing is lost, nothing is half there, and no step runs twice."""

from __future__ import annotations

import hashlib
import json
import random
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.program import Pybuild

_SECONDS = 8.0
_BUILDERS = 8
# Stages that several of the recipes have, so that builders meet at their steps; each step counts its runs.
_STEP = "RUN --mount=type=cache,target=/count echo >> /count/{0} && sleep 0.05 && echo {0} > /{0}"
_COMMON = ("FROM base AS common", _STEP.format("one"), _STEP.format("two"), "COPY shared /shared")
_RECIPES = {
    name: "\n".join((*_COMMON, f"FROM common AS {name}", _STEP.format(name), f"COPY --from=common /one /from-{name}"))
    for name in ("red", "green", "blue")
}
# What is pruned meanwhile: its steps run again, and do not count.
_VICTIM = "FROM base AS victim\nRUN sleep 0.02 && echo victim > /victim\nRUN cp /victim /again\n"


def _recipes(program: Pybuild) -> None:
    program.base()
    for name, text in {**_RECIPES, "victim": _VICTIM}.items():
        program.file(name, text)
    program.file("shared", "shared by all")


class _Builder(threading.Thread):
    """Does what users do, at random but by its own seed, until time is over."""

    def __init__(self, program: Pybuild, number: int, until: float) -> None:
        super().__init__()
        self.program, self.number, self.until = program, number, until
        self.random = random.Random(number)
        self.done: Counter[str] = Counter()
        self.trouble = ""

    def run(self) -> None:
        todo: list[Callable[[], object]] = [self.build] * 6 + [
            self.victim, self.prune, self.untag, self.tag, self.contain, self.carry, self.look, self.collect
        ]  # fmt: skip
        try:
            while time.monotonic() < self.until:
                action = self.random.choice(todo)
                action()
                self.done[action.__name__] += 1
        except AssertionError as error:
            self.trouble = f"builder {self.number}: {error}"

    def build(self) -> None:
        name = self.random.choice(list(_RECIPES))
        self.program("build", "-q", "-f", name, "-t", f"{name}-{self.number}", "-t", "latest-of-all", ".")

    def victim(self) -> None:
        self.program("build", "-q", "-f", "victim", "-t", f"victim-{self.number}", ".")
        assert self.program.shell(f"victim-{self.number}", "cat /again") == "victim\n"
        self.program("rmi", f"victim-{self.number}")

    def prune(self) -> None:
        self.program("cache", "prune", "-f", "--filter", "stage=victim")

    def untag(self) -> None:
        name = self.random.choice(list(_RECIPES))
        self.program("build", "-q", "-f", name, "-t", f"own-{self.number}", ".")
        self.program("rmi", "-f", f"own-{self.number}")

    def tag(self) -> None:
        self.program("tag", "base", f"base-{self.number}")
        self.program("rmi", f"base-{self.number}")

    def contain(self) -> None:
        self.build()
        assert self.program.shell("latest-of-all", "cat /one /two /shared") == "one\ntwo\nshared by all"

    def carry(self) -> None:
        archive = str(self.program.work / f"archive-{self.number}")
        self.program("save", "-o", archive, "base")
        self.program("load", "-i", archive)
        self.program("import", str(self.program.work / "tiny.tar"), f"tiny-{self.number}")
        self.program("rmi", f"tiny-{self.number}")

    def look(self) -> None:
        for words in (("images",), ("ps", "-a"), ("cache", "ls"), ("system", "df"), ("cache", "verify")):
            self.program(*words)

    def collect(self) -> None:
        self.program("image", "prune", "-f")
        self.program("system", "prune", "-f", "--filter", "until=1h")


def _contents(root: Path) -> dict[str, str]:
    """The content of each step that is no victim's, by key: both are the same wherever and whenever it ran."""
    with sqlite3.connect(root / "pybuild.db") as db:
        rows = db.execute("SELECT key, content_id FROM records JOIN layers USING (diff_id) WHERE stage != 'victim'")
        return dict(rows.fetchall())


@pytest.fixture
def serial(tmp_path: Path) -> dict[str, str]:
    """What the recipes make when one is built after the other."""
    (tmp_path / "serial" / "work").mkdir(parents=True)
    program = Pybuild(tmp_path / "serial" / "store", tmp_path / "serial" / "work")
    _recipes(program)
    for name in _RECIPES:
        program("build", "-q", "-f", name, ".")
    return _contents(program.root)


def test_builders_meet_and_nothing_goes_wrong(pybuild: Pybuild, serial: dict[str, str]) -> None:
    _recipes(pybuild)
    _tiny(pybuild)
    end = time.monotonic() + _SECONDS
    builders = [_Builder(pybuild, number, end) for number in range(_BUILDERS)]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
    assert not [b.trouble for b in builders if b.trouble]
    for name in _RECIPES:
        pybuild("build", "-q", "-f", name, "-t", name, ".")
    assert _contents(pybuild.root) == serial
    counts = {path.name: len(path.read_text()) for path in pybuild.root.glob("cachemounts/*/0/*") if path.is_file()}
    assert counts == dict.fromkeys(("one", "two", *_RECIPES), 1), "every distinct step runs once"
    for name in _RECIPES:
        expected = f"one\ntwo\n{name}\none\nshared by all"
        assert pybuild.shell(name, f"cat /one /two /{name} /from-{name} /shared") == expected
    _whole(pybuild)


def _tiny(program: Pybuild) -> None:
    import tarfile

    with tarfile.open(program.work / "tiny.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("empty"))


def _whole(program: Pybuild) -> None:
    """The store is as it must be, and nothing is left lying about."""
    for blob in (program.root / "blobs/sha256").iterdir():
        assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    program("cache", "verify")
    assert list((program.root / "tmp").iterdir()) == []
    program("system", "prune", "-f")
    left = [path.name for path in (program.root / "locks").iterdir() if "-" in path.name]
    assert left == [], "no lease, no name, no key"
    index = json.loads((program.root / "index.json").read_text())
    with sqlite3.connect(program.root / "pybuild.db") as db:
        names = {name for (name,) in db.execute("SELECT name FROM refs")}
        assert db.execute(
            "SELECT count(*) FROM refs WHERE manifest NOT IN (SELECT manifest FROM images)"
        ).fetchone() == (0,)
    assert len([m for m in index["manifests"] if "annotations" in m]) == len(names)


def test_stores_are_made_by_many_at_once(pybuild: Pybuild) -> None:
    started = [pybuild.start("images") for _ in range(12)]
    ended = [(*process.communicate(), process.returncode) for process in started]
    assert {(err, status) for _, err, status in ended} == {(b"", 0)}
