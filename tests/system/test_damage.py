"""What is damaged is told of, and mended or dropped with a clear word; nothing else is lost, and nothing breaks."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from builder.digest import Digest
from builder.linux.files import remove_tree
from tests.support.program import Pybuild

TEXT = """FROM base
COPY greeting /greeting
RUN cat /greeting > /shown && ln /shown /linked && mkdir /full && echo 1 > /full/one && chown 3:4 /full/one
RUN rm -r /full && mkdir /full && chmod 4755 /shown && ln -s shown /link
"""
DAMAGED = 6


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Pybuild:
    """A store with a base, an image `app` of three steps on it, and nothing wrong."""
    directory = tmp_path_factory.mktemp("template")
    pybuild = Pybuild(directory / "store", directory / "work")
    pybuild.work.mkdir()
    pybuild.base()
    pybuild.file("greeting", "hello")
    pybuild.build(TEXT, "-t", "app").ok()
    return pybuild


@pytest.fixture
def copied(template: Pybuild, tmp_path: Path) -> Pybuild:
    """A copy of that store at another place, as `cp -a` makes it."""
    return template.copied(tmp_path / "copy")


def verify(pybuild: Pybuild, *options: str) -> tuple[int, dict[str, Any]]:
    done = pybuild.try_("cache", "verify", "--format", "json", *options)
    return done.returncode, json.loads(done.stdout)


def findings(pybuild: Pybuild, *options: str, harmless: bool = False) -> list[dict[str, Any]]:
    """What is found; of what only takes room where it is asked for."""
    found: list[dict[str, Any]] = verify(pybuild, *options)[1]["report"]["findings"]
    return [finding for finding in found if harmless or not finding["harmless"]]


def check_whole(pybuild: Pybuild, ran: int = 0) -> None:
    """Nothing is damaged, and `app` can be built, at the price of running so many steps, and is right."""
    status, found = verify(pybuild)
    assert (status, found["damaged"]) == (0, False), found
    assert len(pybuild.build(TEXT, "-t", "app").ok().ran) == ran
    assert pybuild.shell("app", "cat /greeting /shown /linked; ls /full; readlink /link") == "hellohellohelloshown\n"


def rows(pybuild: Pybuild, sql: str, *values: object) -> list[Any]:
    """What a statement gives on the store's database."""
    connection = sqlite3.connect(pybuild.root / "pybuild.db", isolation_level=None)
    try:
        return connection.execute(sql, values).fetchall()
    finally:
        connection.close()


def layer(pybuild: Pybuild, step: str) -> tuple[Path, Path]:
    """Blob and snapshot of the layer a step made."""
    ((diff_id, blob),) = rows(
        pybuild,
        "SELECT l.diff_id, l.blob FROM records r JOIN layers l ON l.diff_id = r.diff_id WHERE r.name LIKE ?",
        f"%{step}%",
    )
    return pybuild.root / "blobs/sha256" / blob, pybuild.root / "snapshots" / diff_id


def flip(path: Path, at: float = 0.5) -> None:
    """Change one bit of a file, that far into it."""
    data = bytearray(path.read_bytes())
    data[int(len(data) * at)] ^= 0x10
    path.write_bytes(data)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def base_blob(pybuild: Pybuild) -> Path:
    """The blob of the base's layer."""
    known = [layer(pybuild, step)[0].name for step in ("COPY", "RUN cat", "RUN rm")]
    ((blob,),) = rows(pybuild, f"SELECT blob FROM layers WHERE blob NOT IN ({','.join('???')})", *known)
    return pybuild.root / "blobs/sha256" / str(blob)


def image_blob(pybuild: Pybuild, column: str, name: str = "app") -> Path:
    ((digest,),) = rows(
        pybuild,
        f"SELECT i.{column} FROM images i JOIN refs r ON r.manifest = i.manifest WHERE r.name LIKE ?",
        f"%{name}:%",
    )
    return pybuild.root / "blobs/sha256" / str(digest)


def test_a_store_that_is_copied_or_moved_goes_on_and_is_clean(copied: Pybuild, tmp_path: Path) -> None:
    check_whole(copied)
    os.rename(copied.root, tmp_path / "elsewhere")
    check_whole(replace(copied, root=tmp_path / "elsewhere"))


def test_damaged_snapshots_are_unpacked_again(copied: Pybuild) -> None:
    flip(layer(copied, "RUN cat")[1] / "shown")
    os.removexattr(layer(copied, "RUN rm")[1] / "full", "trusted.overlay.opaque")
    (layer(copied, "COPY")[1] / "greeting").chmod(0o600)
    status, found = verify(copied)
    assert (status, found["damaged"]) == (DAMAGED, True)
    assert {finding["kind"] for finding in found["report"]["findings"]} == {"snapshot"}
    assert {finding["problem"] for finding in found["report"]["findings"]} == {
        "/linked: its content is another",
        "/full: it hides nothing below",
        "/greeting: its mode is 0600, not 0644",
    }
    assert {finding["repair"] for finding in findings(copied, "--repair")} == {"unpacked again from its blob"}
    check_whole(copied)


@pytest.mark.parametrize("damage", [flip, truncate, Path.unlink], ids=["flipped", "truncated", "missing"])
def test_a_damaged_blob_is_written_again_from_its_snapshot(copied: Pybuild, damage: Callable[[Path], object]) -> None:
    damage(layer(copied, "RUN cat")[0])
    kinds = {finding["kind"] for finding in findings(copied)}
    assert "blob" in kinds
    mended = findings(copied, "--repair")
    assert [f["repair"] for f in mended if f["kind"] == "blob"] == ["written again from its snapshot"]
    check_whole(copied)


def test_a_layer_in_another_compression_is_checked_too(copied: Pybuild) -> None:
    archive = str(copied.work / "saved.tar")
    copied("save", "--format", "oci", "--compression", "gzip", "-o", archive, "app")
    assert findings(copied, harmless=True) == []
    ((made,),) = rows(copied, "SELECT digest FROM compressed LIMIT 1")
    flip(copied.root / "blobs/sha256" / made)
    mended = findings(copied, "--repair")
    assert [(f["name"], f["repair"]) for f in mended] == [(made, "dropped: it is made again when it is wanted")]
    copied("save", "--format", "oci", "--compression", "gzip", "-o", archive, "app")
    check_whole(copied)


def test_what_cannot_be_made_anew_is_dropped_and_told_and_nothing_else(copied: Pybuild) -> None:
    blob, snapshot = layer(copied, "RUN rm")
    truncate(blob)
    flip(snapshot / "shown")
    found = {(f["kind"], f["repair"].partition(":")[0]) for f in findings(copied, "--repair")}
    assert found == {
        ("blob", "dropped"),
        ("snapshot", "dropped"),
        ("record", "dropped"),
        ("image", found_image(copied, found)),
    }
    assert copied.try_("inspect", "app").returncode == 4
    check_whole(copied, ran=1)


def test_a_container_is_whole_as_long_as_its_layers_are(copied: Pybuild) -> None:
    copied("run", "--name", "kept", "app", "true")
    assert verify(copied)[0] == 0 and not findings(copied)
    blob, snapshot = layer(copied, "RUN rm")
    truncate(blob)
    flip(snapshot / "shown")
    findings(copied, "--repair")
    (found,) = findings(copied)
    assert (found["kind"], found["name"]) == ("container", "kept")
    assert f"its layer sha256:{snapshot.name} is lost: remove it (pybuild rm kept)" in found["problem"]
    copied("rm", "kept")
    check_whole(copied, ran=1)


def found_image(copied: Pybuild, found: set[tuple[str, str]]) -> str:
    (words,) = [repair for kind, repair in found if kind == "image"]
    assert words.startswith("dropped (ID ")
    assert words.endswith("its names")
    return words


@pytest.mark.parametrize("column", ["manifest", "config"])
@pytest.mark.parametrize("damage", [flip, truncate, Path.unlink], ids=["flipped", "truncated", "missing"])
def test_a_damaged_manifest_or_config_takes_its_image_alone(
    copied: Pybuild, damage: Callable[[Path], object], column: str
) -> None:
    damage(image_blob(copied, column))
    assert verify(copied)[0] == DAMAGED
    for command in ("images", "rmi"):  # no traceback, whatever they say
        copied.try_(command, *(["base-not-there"] if command == "rmi" else []))
    words = [f["repair"] for f in findings(copied, "--repair") if f["kind"] == "image"]
    assert len(words) == 1
    assert "app:latest): build, load or pull it again" in words[0]
    assert copied("images").count("base") == 1
    check_whole(copied)


def test_a_hand_deleted_blob_is_no_hit_and_its_image_says_what_to_do(copied: Pybuild) -> None:
    blob, _ = layer(copied, "RUN cat")
    blob.unlink()
    done = copied.try_("save", "-o", str(copied.root / "tmp/out.tar"), "app")
    assert done.returncode == 4
    assert "build, load or pull its image again" in done.stderr
    assert copied.build(TEXT, "-t", "app").ok().ran == [TEXT.splitlines()[2]]
    # What `app` was before, in another second, has lost its blob still; its snapshot is there.
    assert [f["repair"] for f in findings(copied, "--repair")] == ["written again from its snapshot"]
    check_whole(copied)


def test_a_base_that_is_lost_says_what_to_do(copied: Pybuild) -> None:
    flip(base_blob(copied))
    remove_tree(str(copied.root / "snapshots"))
    (copied.root / "snapshots").mkdir()
    built = copied.build(TEXT + "RUN echo more\n")
    assert built.status == 5
    assert "is damaged" in built.err
    assert "cache verify --repair" in built.err
    names = {f["name"] for f in findings(copied, "--repair") if f["kind"] == "image"}
    assert names == {"app:latest", "base:latest"}
    copied.base()
    check_whole(copied)


# What is done to the database, and how many of the three records can be expected to be read after.
def overwrite_middle(path: Path) -> None:
    """One page of the file that is no page any more."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 4096] = os.urandom(4096)
    path.write_bytes(data)


DATABASES: dict[str, Callable[[Path], object]] = {
    "truncated": truncate,
    "empty": lambda path: path.write_bytes(b""),
    "no database": lambda path: path.write_bytes(b"garbage" * 10_000),
    "missing": Path.unlink,
    "page overwritten": overwrite_middle,
    "head overwritten": lambda path: path.write_bytes(bytes(4096) + path.read_bytes()[4096:]),
}


@pytest.mark.parametrize("damage", DATABASES)
def test_a_damaged_database_is_made_anew_from_the_blobs(copied: Pybuild, damage: str) -> None:
    rows(copied, "PRAGMA wal_checkpoint(TRUNCATE)")
    DATABASES[damage](copied.root / "pybuild.db")
    before = copied.try_("images")
    if before.returncode:
        assert before.returncode == DAMAGED
        assert "cache verify --repair" in before.stderr
    assert verify(copied)[0] == DAMAGED
    (finding,) = [f for f in findings(copied, "--repair") if f["kind"] == "database"]
    assert finding["repair"].startswith("made anew: 2 images, 4 layers, ")
    listed = copied("images")
    assert "app" in listed
    assert "base" in listed
    assert verify(copied)[0] == 0
    copied.build(TEXT, "-t", "app").ok()
    assert copied.shell("app", "cat /shown") == "hello"


def test_a_name_of_nothing_is_dropped(copied: Pybuild) -> None:
    rows(copied, "UPDATE refs SET manifest = ? WHERE name LIKE '%app%'", "0" * 64)
    assert {f["kind"] for f in findings(copied)} == {"name"}
    assert {f["kind"] for f in findings(copied, harmless=True)} == {"name", "index"}
    assert {f["repair"] for f in findings(copied, "--repair", harmless=True)} == {"dropped", "written again"}
    check_whole(copied)


def test_a_record_that_is_not_its_key_s_is_dropped(copied: Pybuild) -> None:
    rows(copied, "UPDATE records SET preimage = ? WHERE name LIKE '%RUN cat%'", b"{}")
    (finding,) = findings(copied, "--repair")
    assert finding["repair"].startswith("dropped")
    check_whole(copied, ran=1)


def test_facts_of_a_layer_are_its_blob_s(copied: Pybuild) -> None:
    rows(copied, "UPDATE layers SET content_id = ?", "0" * 64)
    assert {f["kind"] for f in findings(copied)} == {"layer"}
    assert {f["repair"] for f in findings(copied, "--repair")} == {"written again from its blob"}
    check_whole(copied)


def test_an_index_that_is_gone_or_damaged_is_written_again(copied: Pybuild) -> None:
    (copied.root / "index.json").write_text("{")
    assert [f["kind"] for f in findings(copied)] == ["index"]
    assert findings(copied, "--repair")[0]["repair"] == "written again"
    (copied.root / "index.json").unlink()
    check_whole(copied)


def test_foreign_files_are_left_alone_and_orphans_removed(copied: Pybuild) -> None:
    for name in ("blobs/sha256/README", "snapshots/mine", "notes.txt"):
        (copied.root / name).write_text("mine")
    orphan = copied.root / "blobs/sha256" / ("0" * 64)
    (copied.root / "snapshots" / ("1" * 64)).mkdir()
    orphan.write_text("whatever")
    status, found = verify(copied, "--repair")
    assert status == 0
    assert {(f["name"], f["repair"]) for f in found["report"]["findings"]} == {
        ("blobs/sha256/README", ""),
        ("snapshots/mine", ""),
        ("0" * 64, "removed"),
        ("1" * 64, "removed"),
    }
    assert not orphan.exists()
    assert (copied.root / "notes.txt").exists()
    copied("rmi", "app")
    copied.build(TEXT, "-t", "app").ok()


def test_an_ordinary_user_s_store_is_checked_and_mended_by_his_ids(as_user: Pybuild) -> None:
    as_user.base()
    as_user.file("greeting", "hello")
    as_user.build(TEXT, "-t", "app").ok()
    check_whole(as_user)
    _, snapshot = layer(as_user, "RUN rm")
    (snapshot / "shown").chmod(0o700)
    truncate(layer(as_user, "RUN cat")[0])
    assert {f["repair"] for f in findings(as_user, "--repair") if f["kind"] != "image"} == {
        "unpacked again from its blob",
        "written again from its snapshot",
    }
    check_whole(as_user)


def test_layers_made_by_copying_are_clean(copied: Pybuild) -> None:
    copied.build(TEXT, "--no-cache", "-t", "app", PYBUILD_ASSEMBLER="copy").ok()
    check_whole(copied)


def test_it_does_not_mend_what_others_use(copied: Pybuild) -> None:
    flip(layer(copied, "RUN cat")[1] / "shown")
    copied.file("Sleeps", TEXT + "RUN sleep 30\n")
    running = copied.start("build", "--progress", "plain", "-f", "Sleeps", ".")
    assert running.stderr is not None
    while b"RUN sleep" not in running.stderr.readline():
        pass
    (found,) = findings(copied, "--repair")
    assert found["repair"] == ""
    assert "it is in use: run it again when nothing else uses the store" in found["problem"]
    running.terminate()
    running.communicate()
    verify(copied, "--repair")
    check_whole(copied)


def test_a_clock_that_was_set_back_a_year(copied: Pybuild) -> None:
    """What was used, made and added then is in the future now."""
    year = 365 * 86400
    rows(copied, "UPDATE records SET created = created + ?, last_used = last_used + ?", year, year)
    rows(copied, "UPDATE images SET added = added + ?", year)
    for command in (("images",), ("cache", "ls"), ("cache", "du"), ("history", "app"), ("system", "df")):
        shown = copied(*command)
        assert not re.search(r"(?<!\S)-\d", shown)
    copied("cache", "prune", "--force", "--filter", "until=24h")
    check_whole(copied)


def test_a_hundred_thousand_records(copied: Pybuild) -> None:
    """What grows with their number grows no faster."""
    connection = sqlite3.connect(copied.root / "pybuild.db")
    columns = [name for _, name, *_ in connection.execute("PRAGMA table_info(records)")]
    (model,) = connection.execute("SELECT * FROM records WHERE name LIKE '%RUN cat%'")
    changed = [columns.index(name) for name in ("key", "preimage", "line")]

    def another(number: int) -> tuple[Any, ...]:
        values, text = list(model), f'{{"n":{number}}}'.encode()
        for at, value in zip(changed, (Digest.of(text).hex, text, number), strict=True):
            values[at] = value
        return tuple(values)

    marks = ",".join("?" * len(columns))
    connection.executemany(f"INSERT INTO records VALUES ({marks})", map(another, range(100_000)))
    connection.commit()
    connection.close()
    for command, most in (
        (("build", "--progress", "quiet", "-t", "app", "."), 3.0),
        (("cache", "ls", "--format", "json"), 30.0),
        (("cache", "verify"), 15.0),
        (("rmi", "base"), 15.0),
    ):
        begun = time.monotonic()
        copied(*command)
        assert time.monotonic() - begun < most, command
