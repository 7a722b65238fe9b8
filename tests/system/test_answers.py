"""Builds that are known: they are answered with what the build itself would come to, or not at all."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from builder.api.answered import Asked
from tests.support.program import PROGRAM, Pybuild
from tests.system.test_stale import SEEN, UNSEEN, grow, settle

TEXT = """FROM base AS one
RUN echo 1 > /a
FROM base
RUN --mount=type=cache,target=/c echo 2 > /b
COPY --from=one /a /
"""
CLICK = re.compile(r"\| +click\n")
# A point that is nowhere: the build goes its way, and nothing happens there.
WHOLE = {"PYBUILD_POINT": "nowhere=kill"}


@dataclass
class Done:
    """How a build ended; `answered`: it was known."""

    status: int
    out: str
    err: str
    answered: bool


def build(program: Pybuild, *words: str, **env: str) -> Done:
    """Run a build, in the same words each time, and see whether it loads what reads them."""
    watched = replace(program, prefix=(sys.executable, "-X", "importtime", str(PROGRAM)))
    done = watched.try_("build", *(words or ("-t", "app", ".")), **env)
    lines = done.stderr.splitlines(keepends=True)
    shown = "".join(line for line in lines if not line.startswith("import time:"))
    return Done(done.returncode, done.stdout, re.sub(r" in \d+\.\ds\n", "", shown), not CLICK.search(done.stderr))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Pybuild:
    """A store with bases and the steps of TEXT."""
    directory = tmp_path_factory.mktemp("answers")
    program = Pybuild(directory / "store", directory)
    program.base()
    program.build("FROM base\nRUN echo other > /other\n", "-t", "other").ok()
    program.build(TEXT, "-t", "app").ok()
    return program


@pytest.fixture
def known(shared: Pybuild, tmp_path: Path) -> Pybuild:
    """A build that is known, on a store of its own: it would be answered if it were asked again."""
    program = replace(shared.copied(tmp_path / "store"), work=tmp_path / "work")
    program.file("Buildfile", TEXT)
    assert not build(program).answered
    return program


def database(program: Pybuild, sql: str, *values: object) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(program.root / "pybuild.db")) as connection:
        rows = connection.execute(sql, values).fetchall()
        connection.commit()
    return rows


def blobs(program: Pybuild) -> list[Path]:
    """The blobs of the image's own layers, from the top."""
    rows = database(
        program,
        "SELECT blob FROM layers JOIN records USING (diff_id) WHERE records.name LIKE '%COPY%' ORDER BY created DESC",
    )
    return [program.root / "blobs/sha256" / str(blob) for (blob,) in rows]


def test_an_answer_is_what_the_build_says_and_does(known: Pybuild) -> None:
    def used() -> list[tuple[object, ...]]:
        return database(known, "SELECT key, hits FROM records ORDER BY key")

    def more(before: list[tuple[object, ...]]) -> list[int]:
        return [int(str(after)) - int(str(hits)) for (_, hits), (_, after) in zip(before, used(), strict=True)]

    for words in (("-t", "app", "."), ("-q", "."), ("--progress", "tty", "."), ("--label", "a=b", "-t", "second", ".")):
        assert not build(known, *words).answered or "app" in words
        before = used()
        answer = build(known, *words)
        answered, before = more(before), used()
        whole = build(known, *words, **WHOLE)
        assert answer.answered
        assert not whole.answered
        assert (answer.status, answer.out, answer.err) == (whole.status, whole.out, whole.err)
        assert answered == more(before)
        assert sum(answered) == 3
        assert answer.err.count("CACHED") == (0 if "-q" in words else 5)


def test_an_answer_counts_as_use(known: Pybuild) -> None:
    database(known, "UPDATE records SET last_used = 1")
    assert build(known).answered
    assert database(known, "SELECT count(*) FROM records WHERE last_used > 1") == [(3,)]


OTHER, COPY = "SELECT diff_id FROM records WHERE name LIKE '%other%'", "name LIKE '%COPY%'"
Change = Callable[[Pybuild], object]


def rewritten(name: str, text: str) -> Change:
    return lambda program: program.file(name, text)


def remade(program: Pybuild) -> None:
    """The same steps run again: their records are younger, and so is the image."""
    program("build", "--no-cache", ".")


def damaged_index(program: Pybuild) -> None:
    """Another program took the names out."""
    (program.root / "index.json").write_bytes(b'{"schemaVersion":2,"manifests":[]}')


CHANGES: dict[str, Change] = {
    "the Buildfile has another step": rewritten("Buildfile", TEXT + "RUN true\n"),
    "the Buildfile has another word": rewritten("Buildfile", TEXT.replace("echo 2", "echo 3")),
    "the Buildfile has only another comment": rewritten("Buildfile", TEXT + "# more\n"),
    "the Buildfile is gone": lambda p: (p.work / "Buildfile").rename(p.work / "Dockerfile"),
    "the Buildfile is a pipe": lambda p: ((p.work / "Buildfile").unlink(), os.mkfifo(p.work / "Buildfile")),
    "there is an ignore file": rewritten(".dockerignore", "*.log\n"),
    "there is an ignore file of the Buildfile's own": rewritten("Buildfile.dockerignore", ""),
    "there is a lock": rewritten("Buildfile.lock", "no lock"),
    "the base is another": lambda p: p("tag", "other", "base"),
    "the base is gone": lambda p: p("rmi", "base"),
    "the image is gone": lambda p: p("rmi", "app"),
    "the name means another image": lambda p: p("tag", "other", "app"),
    "the name is not in index.json": damaged_index,
    "index.json is gone": lambda p: (p.root / "index.json").unlink(),
    "the records are gone": lambda p: database(p, f"DELETE FROM records WHERE {COPY}"),
    "a record says another layer": lambda p: database(p, f"UPDATE records SET diff_id = ({OTHER}) WHERE {COPY}"),
    "a step ran again": remade,
    "a layer is gone": lambda p: [blob.unlink() for blob in blobs(p)],
    "a layer is cut off": lambda p: [os.truncate(blob, 10) for blob in blobs(p)],
    "a layer is in another blob": lambda p: database(p, "UPDATE layers SET blob_size = blob_size + 1"),
    "the image's time was forgotten": lambda p: database(p, "DELETE FROM memo WHERE kind = 'created'"),
    "the store is in another place": lambda p: (
        shutil.copytree(p.root, p.root.with_name("copy"), symlinks=True),
        p.root.rename(p.root.with_name("old")),
        p.root.with_name("copy").rename(p.root),
    ),
    "the database is of another version": lambda p: database(p, "PRAGMA user_version = 1000"),
}


def ask(program: Pybuild, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the build is known, asked as the program does."""
    monkeypatch.chdir(program.work)
    monkeypatch.setenv("NO_COLOR", "1")  # as the program has it
    answer = Asked(program.command("build", "-t", "app", ".")[len(program.prefix) :]).answer()
    if answer is not None and answer.connection is not None:
        answer.connection.close()
    return answer is not None


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_build_depends_on_has_changed(known: Pybuild, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    assert ask(known, monkeypatch)
    CHANGES[change](known)
    assert not ask(known, monkeypatch)


def test_what_a_build_does_not_depend_on_may_change(known: Pybuild) -> None:
    os.utime(known.work / "Buildfile", (1, 1))
    known.file("more.txt", "not asked for")
    known("tag", "other", "unrelated")
    known("build", "-t", "second", "--target", "one", ".")
    known("rmi", "unrelated")
    known("rmi", "second")
    known("images")
    assert build(known, OLDPWD="/somewhere", SHLVL="7", CI_JOB_ID="3").answered


@pytest.mark.parametrize(
    "words",
    [("-t", "second", "."), ("--build-arg", "A=1", "-t", "app", "."), ("-t", "app", "."), ("-t", "app", "../work")],
)
def test_something_else_is_asked(known: Pybuild, words: tuple[str, ...]) -> None:
    """Other words, or the same with another meaning."""
    assert not build(known, *words, SOURCE_DATE_EPOCH="5").answered


def test_a_variable_that_changes_all_the_time_counts_where_it_is_named(known: Pybuild) -> None:
    known.file("Buildfile", "FROM base\nARG SHLVL\nRUN echo $SHLVL > /a\n")
    words = ("--build-arg", "SHLVL", ".")
    ends = [build(known, *words, SHLVL="1").answered for _ in range(3)]
    assert ends == [False, False, True]
    two = build(known, *words, SHLVL="2")
    assert not two.answered
    assert "CACHED" not in two.err.split("RUN")[1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("FROM base\nRUN --cache=never true\n", ()),
        ("FROM base\nRUN --cache=ttl=1h true\n", ()),
        ("FROM base\nRUN echo other > /other\n", ("--no-cache",)),
        ("FROM base\nRUN echo other > /other\n", ("--iidfile", "id")),
        ("FROM base\nRUN echo other > /other\n", ("--metadata-file", "meta")),
        ("FROM base\nRUN echo other > /other\n", ("-o", "type=oci,dest=out.tar")),
        ("FROM base\nRUN echo other > /other\n", ("--provenance=true",)),
        ("FROM base\nRUN echo other > /other\n", ("--squash",)),
        ("FROM base\nRUN echo other > /other\n", ("--build-arg-file", "arguments")),
        ("FROM base\nRUN echo other > /other\n", ("--ignorefile", "Buildfile")),
        ("FROM base\nRUN echo other > /other\n", ("-v", ".:/here:ro")),
        ("FROM base\nRUN echo other > /other\n", ("--manifest", "all")),
        ("FROM base\nRUN echo other > /other\n", ("--paranoid",)),
        ("FROM base\nRUN echo other > /other\n", ("--timings",)),
        ("FROM base\nCOPY --from=named * /\n", ("--build-context", "named=.")),
        ("FROM base\nRUN echo other > /other\n", ("--offline",)),
        ("FROM base\nRUN echo other > /other\n", ("--secret", "id=a,env=HOME")),
        ("FROM base\nRUN echo other > /other\n", ("--cache-from", "type=local,src=nowhere")),
        ("FROM base\nRUN echo other > /other\n", ("--source-date-epoch", "context")),
        ("FROM base\nRUN echo other > /other\n", ("--platform", "linux/amd64,linux/arm64")),
        ("FROM oci-layout:layout\nRUN echo other > /other\n", ()),
    ],
)
def test_what_may_come_to_something_else_is_never_known(
    shared: Pybuild, tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    program = replace(shared, work=tmp_path)
    program.file("Buildfile", text)
    program.file("arguments", "A=1\n")
    if "oci-layout" in text:
        program("save", "--format", "oci-dir", "-o", "layout", "base")
    ends = [build(program, *words, ".") for _ in range(2)]
    assert [end.answered for end in ends] == [False, False]


BOUND = """FROM base
RUN --mount=type=bind,source=tree,target=/t cat /t/file > /seen
COPY tree/dir tree/l* /t/
"""


def test_a_context_has_changed(known: Pybuild) -> None:
    """Each change in turn: the build is not known any more, and then it is, with another image."""
    tree = grow(known.work)
    known.file("Buildfile", BOUND)
    images = {build(known, "-q", ".").out}
    for change in ("same size and time", "same, swapped by rename", "hard link cut", "added", "removed", "renamed"):
        build(known, "-q", ".")
        assert build(known, "-q", ".").answered, change
        SEEN[change](tree)
        settle()
        changed = build(known, "-q", ".")
        assert not changed.answered, change
        images.add(changed.out)
        if change == "renamed":
            assert changed.status != 0
    assert len(images) == 7


def test_what_of_a_context_is_not_taken_may_change(known: Pybuild) -> None:
    tree = grow(known.work)
    known.file("Buildfile", BOUND)
    build(known, "-q", ".")
    first = build(known, "-q", ".")
    for change in ("ignored", "elsewhere", "socket"):
        UNSEEN[change](tree)
        answer = build(known, "-q", ".")
        assert answer.answered, change
        assert answer.out == first.out
    # With other rules something else is taken.
    known.file(".dockerignore", "**/one\n")
    without = build(known, "-q", ".")
    assert not without.answered
    assert without.out != first.out


def test_several_that_build_the_same_at_once(known: Pybuild) -> None:
    running = [known.start("build", "-t", "app", ".") for _ in range(4)]
    shown = {re.sub(rb" in .*", b"", process.communicate(timeout=60)[1]) for process in running}
    assert len(shown) == 1
    assert build(known).answered
