"""rpm's databases: one that rpm wrote, and such as it would not."""

from __future__ import annotations

import sqlite3
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.attest import rpmdb
from builder.attest.collect import collected
from builder.attest.inventory import Gathering, Package
from builder.attest.rpmheader import read_header
from builder.errors import BadInputError

SPEC = """Name: {name}
Version: 1.2
Release: 3
{more}
Summary: a package
License: GPLv2+ and MIT
Vendor: A Vendor
URL: https://www.example.org/{name}
%description
text
%files
"""
PLACE = "var/lib/rpm/rpmdb.sqlite"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tree with a database in which rpm has noted two packages."""
    top = tmp_path_factory.mktemp("rpm")
    for name, more in (("alpha", "Epoch: 7"), ("beta", "BuildArch: noarch")):
        spec = top / f"{name}.spec"
        spec.write_text(SPEC.format(name=name, more=more))
        subprocess.run(["rpmbuild", "-bb", "-D", f"_topdir {top}", spec], check=True, capture_output=True)
    database = top / "tree/var/lib/rpm"
    database.mkdir(parents=True)
    packages = [*top.glob("RPMS/*/*.rpm")]
    command = ["rpm", "--dbpath", database, "-i", "--justdb", "--nodeps", *packages]
    subprocess.run(command, check=True, capture_output=True)
    listed = subprocess.run(["rpm", "--dbpath", database, "-qa"], check=True, capture_output=True, text=True).stdout
    assert sorted(listed.splitlines())[0].startswith("alpha-1.2-3.")
    return top / "tree"


@pytest.fixture(scope="module")
def headers(installed: Path) -> list[bytes]:
    return list(rpmdb.sqlite_headers(str(installed / PLACE)))


def packages(headers: Iterator[bytes], gathering: Gathering | None = None) -> list[str]:
    gathering = gathering or Gathering()
    for header in headers:
        read_header(header, PLACE, gathering)
    return [f"{p.name} {p.full_version} {p.architecture}" for p in gathering.inventory().packages]


def test_a_database_that_rpm_wrote(installed: Path) -> None:
    alpha, beta = collected(str(installed)).packages
    assert (beta.name, beta.architecture, beta.epoch) == ("beta", "noarch", "")
    assert alpha == Package(
        "rpm",
        "alpha",
        "1.2-3",
        architecture=alpha.architecture,
        epoch="7",
        source="alpha",
        source_version="1.2-3",
        licenses=("GPLv2+ and MIT",),
        supplier="A Vendor",
        homepage="https://www.example.org/alpha",
        place=PLACE,
    )


def test_changes_that_are_not_in_the_file_yet_are_told_of(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "var/lib/rpm").mkdir(parents=True)
    (tmp_path / PLACE).write_bytes((installed / PLACE).read_bytes())
    (tmp_path / f"{PLACE}-wal").write_bytes(b"x")
    inventory = collected(str(tmp_path))
    assert len(inventory.packages) == 2
    assert inventory.unread == (f"/{PLACE}: changes that are in rpmdb.sqlite-wal are not read",)


def test_keys_are_no_packages() -> None:
    assert packages(iter([header({1000: "gpg-pubkey", 1001: "1"})])) == []


# --- headers -----------------------------------------------------------------------------------------


def header(strings: dict[int, str]) -> bytes:
    """A header of strings alone."""
    index, data = b"", b""
    for tag, text in strings.items():
        index += struct.pack(">IIII", tag, 6, len(data), 1)
        data += text.encode() + b"\0"
    return struct.pack(">II", len(strings), len(data)) + index + data


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\0" * 7,
        struct.pack(">II", 1, 0),
        struct.pack(">II", 0xFFFFFFFF, 0xFFFFFFFF) + bytes(100),
        struct.pack(">IIIIII", 1, 4, 1000, 6, 4, 1) + b"abc\0",  # begins after the data
        struct.pack(">IIIIiI", 1, 4, 1000, 6, -1, 1) + b"abc\0",
        struct.pack(">IIIIII", 1, 3, 1000, 6, 0, 1) + b"abc",  # without an end
        struct.pack(">IIIIII", 1, 4, 1000, 99, 0, 1) + b"abc\0",
        struct.pack(">IIIIII", 1, 2, 1003, 4, 0, 1) + b"ab",
    ],
)
def test_a_damaged_header_is_told_of(blob: bytes) -> None:
    gathering = Gathering()
    assert packages(iter([blob, header({1000: "ok", 1001: "1"})]), gathering) == ["ok 1 "]
    (told,) = gathering.unread
    assert "damaged" in told or "cut off" in told


# --- SQLite ------------------------------------------------------------------------------------------


def sqlite(path: Path, *statements: str) -> str:
    with sqlite3.connect(path) as db:
        for statement in statements:
            db.execute(statement)
    db.close()
    return str(path)


FOREVER = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n AS hnum, x'00' AS blob FROM r"


@pytest.mark.parametrize(
    "statements",
    [
        [],
        ["CREATE TABLE Packages (hnum INTEGER PRIMARY KEY)"],
        [f"CREATE VIEW Packages AS {FOREVER}"],
        ["CREATE VIRTUAL TABLE Packages USING fts5(hnum, blob)"],
        ["CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob)", "INSERT INTO Packages VALUES (1, 'text')"],
    ],
)
def test_a_database_that_is_none(tmp_path: Path, statements: list[str]) -> None:
    with pytest.raises(BadInputError):
        list(rpmdb.sqlite_headers(sqlite(tmp_path / "db", *statements)))


@pytest.mark.parametrize("data", [b"", b"SQLite format 3\0", b"SQLite format 3\0" + b"\xff" * 5000, b"\0" * 4096])
def test_a_file_that_is_no_database(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "db").write_bytes(data)
    with pytest.raises(BadInputError):
        list(rpmdb.sqlite_headers(str(tmp_path / "db")))


def test_a_damaged_database_is_told_of(installed: Path, tmp_path: Path) -> None:
    data = bytearray((installed / PLACE).read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    (tmp_path / "var/lib/rpm").mkdir(parents=True)
    (tmp_path / PLACE).write_bytes(data)
    inventory = collected(str(tmp_path))
    assert not inventory.packages
    assert inventory.unread


def test_headers_that_overlap_end() -> None:
    with pytest.raises(BadInputError, match="overlap"):
        list(rpmdb.bounded(iter([b"x" * 600, b"x" * 600]), 1000))


# --- NDB ---------------------------------------------------------------------------------------------


def ndb(headers: list[bytes], **changes: int) -> bytes:
    """As rpm lays it out; `changes` to the fields of slots and blobs."""
    pages = changes.get("pages", 1)
    slots, blobs = b"", b""
    for number, blob in enumerate(headers, 1):
        offset = changes.get("offset", 256 + len(blobs) // 16)
        length = changes.get("length", len(blob))
        slots += struct.pack("<4sIII", b"Slot", number, offset, (len(blob) + 28 + 15) // 16)
        blobs += struct.pack("<4sIII", b"BlbS", changes.get("owner", number), 1, length) + blob
        blobs += bytes(-len(blobs) % 16)
    slots = slots.ljust(4096 - 32, b"\0")
    free = b"Slot" + bytes(12)
    used = len(headers) * 16
    slots = slots[:used] + free * ((len(slots) - used) // 16)
    head = struct.pack("<4sIII", b"RpmP", changes.get("version", 0), 1, pages) + bytes(16)
    return head + slots + blobs


def opened(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "db"
    path.write_bytes(data)
    return path


def test_ndb(tmp_path: Path, headers: list[bytes]) -> None:
    with opened(tmp_path, ndb(headers)).open("rb") as file:
        assert list(rpmdb.ndb_headers(file)) == headers


def test_ndb_in_a_tree(tmp_path: Path, headers: list[bytes]) -> None:
    path = tmp_path / "usr/lib/sysimage/rpm/Packages.db"
    path.parent.mkdir(parents=True)
    path.write_bytes(ndb(headers))
    assert [p.name for p in collected(str(tmp_path)).packages] == ["alpha", "beta"]


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 9},
        {"pages": 2},
        {"pages": 0xFFFFFFFF},
        {"offset": 0xFFFFFFFF},
        {"offset": 255},
        {"length": 0xFFFFFFF0},
        {"length": 5000},
        {"owner": 7},
    ],
)
def test_ndb_that_is_damaged(tmp_path: Path, changes: dict[str, int]) -> None:
    blob = header({1000: "a", 1001: "1"})
    with opened(tmp_path, ndb([blob], **changes)).open("rb") as file, pytest.raises(BadInputError):
        list(rpmdb.ndb_headers(file))


@pytest.mark.parametrize("data", [b"", b"RpmP", b"x" * 5000])
def test_no_ndb(tmp_path: Path, data: bytes) -> None:
    with opened(tmp_path, data).open("rb") as file, pytest.raises(BadInputError):
        list(rpmdb.ndb_headers(file))


# --- Berkeley DB -------------------------------------------------------------------------------------

SIZE = 512


def page(kind: int, *, order: str = "<", entries: int = 0, following: int = 0, length: int = 0) -> bytes:
    return struct.pack(f"{order}8xIIIHHBB", 0, 0, following, entries, length, 0, kind)


def bdb(headers: list[bytes], order: str = "<", **changes: int) -> bytes:
    """A hash with one page of pairs; the headers that do not fit in lie on pages of their own."""
    meta = struct.pack(f"{order}12xIII", 0x00061561, 9, changes.get("size", SIZE)) + bytes([0, 8])
    pages = [meta.ljust(SIZE, b"\0"), b""]
    items = [b"\1\0\0\0\0", b"\1\2\0\0\0"]  # how many there are
    for number, blob in enumerate(headers):
        items.append(b"\1" + struct.pack(f"{order}I", number + 1))
        if len(blob) < 80:
            items.append(b"\1" + blob)
            continue
        length = changes.get("length", len(blob))
        items.append(struct.pack(f"{order}B3xII", changes.get("kind", 3), changes.get("first", len(pages)), length))
        room = SIZE - 26
        parts = [blob[at : at + room] for at in range(0, len(blob), room)]
        for index, part in enumerate(parts):
            following = 0 if index == len(parts) - 1 else len(pages) + 1
            following = changes.get("following", following)
            head = page(7, order=order, following=following, length=changes.get("part", len(part)))
            pages.append((head + part).ljust(SIZE, b"\0"))
    offsets, body = [], b""
    for item in items:
        body = item + body
        offsets.append(SIZE - len(body))
    index_ = struct.pack(f"{order}{len(items)}H", *offsets)
    head = page(13, order=order, entries=changes.get("entries", len(items)))
    pages[1] = (head + index_).ljust(SIZE - len(body), b"\0") + body
    return b"".join(pages)


@pytest.mark.parametrize("order", ["<", ">"])
def test_bdb(tmp_path: Path, headers: list[bytes], order: str) -> None:
    small = header({1000: "tiny", 1001: "1"})
    with opened(tmp_path, bdb([*headers, small], order)).open("rb") as file:
        assert list(rpmdb.bdb_headers(file)) == [*headers, small]


def test_bdb_in_a_tree(tmp_path: Path, headers: list[bytes]) -> None:
    path = tmp_path / "var/lib/rpm/Packages"
    path.parent.mkdir(parents=True)
    path.write_bytes(bdb(headers))
    assert [p.name for p in collected(str(tmp_path)).packages] == ["alpha", "beta"]


@pytest.mark.parametrize(
    "changes",
    [
        {"size": 500},
        {"size": 0},
        {"size": 1 << 31},
        {"length": 0xFFFFFFFF},
        {"length": 60 << 20, "following": 2},  # round and round
        {"first": 0},
        {"first": 0xFFFFFFFF},
        {"first": 1},
        {"following": 99},
        {"kind": 2},
        {"part": 0},
        {"part": 1},
        {"part": 0xFFFF},
        {"entries": 3},
        {"entries": 0xFFFE},
        {"entries": 60},
    ],
)
def test_bdb_that_is_damaged(tmp_path: Path, headers: list[bytes], changes: dict[str, int]) -> None:
    with opened(tmp_path, bdb(headers, **changes)).open("rb") as file, pytest.raises(BadInputError):
        list(rpmdb.bounded(rpmdb.bdb_headers(file), path_size(file.name)))


def path_size(name: str) -> int:
    return Path(name).stat().st_size


@pytest.mark.parametrize("data", [b"", b"x" * 100, b"x" * 5000])
def test_no_bdb(tmp_path: Path, data: bytes) -> None:
    with opened(tmp_path, data).open("rb") as file, pytest.raises(BadInputError):
        list(rpmdb.bdb_headers(file))
