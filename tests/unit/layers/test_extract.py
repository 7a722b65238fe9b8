"""Unpacking what strangers have packed: what comes twice, what differs by case, names from `/`, and very much of it."""

from __future__ import annotations

import io
import os
import random
import tarfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.errors import BadInputError
from builder.layers import contentid, extract
from builder.layers.contentid import ContentId, content_id
from builder.layers.entry import Entry, Kind
from builder.layers.extract import extract_layer
from builder.layers.tarread import read_entries
from builder.layers.tarwrite import header
from tests.support.rootfs import directory, member, tar

OWN = {"uid": os.getuid(), "gid": os.getgid()}


def unpacked(tmp_path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    """The directory that a layer of `members` is unpacked to."""
    for info, _ in members:
        info.uid, info.gid = OWN["uid"], OWN["gid"]
    path = tmp_path / "layer"
    path.mkdir()
    extract_layer(io.BytesIO(tar(*members)), str(path))
    return path


def test_the_last_of_several_counts(tmp_path: Path) -> None:
    found = unpacked(
        tmp_path,
        member("file", b"first"),
        member("file", b"second", mode=0o600),
        member("was-file", b"x"),
        directory("was-file"),
        member("was-file/in", b"y"),
        directory("was-directory"),
        member("was-directory/in", b"x"),
        member("was-directory", b"y"),
        member("was-link", kind=tarfile.SYMTYPE, link="file"),
        member("was-link", b"own"),
        directory("kept", 0o700),
        member("kept/in", b"z"),
        directory("kept", 0o755),
    )
    assert (found / "file").read_bytes() == b"second"
    assert (found / "file").stat().st_mode & 0o777 == 0o600
    assert (found / "was-file/in").read_bytes() == b"y"
    assert (found / "was-directory").read_bytes() == b"y"
    assert (found / "was-link").read_bytes() == b"own"
    assert (found / "kept/in").read_bytes() == b"z"  # a directory that comes again keeps what is in it
    assert (found / "kept").stat().st_mode & 0o777 == 0o755


def test_a_file_that_comes_again_leaves_its_other_name_alone(tmp_path: Path) -> None:
    found = unpacked(
        tmp_path,
        member("one", b"first"),
        member("other", kind=tarfile.LNKTYPE, link="one"),
        member("one", b"second"),
    )
    assert (found / "other").read_bytes() == b"first"
    assert (found / "one").read_bytes() == b"second"


def test_names_that_differ_by_case_are_two(tmp_path: Path) -> None:
    found = unpacked(tmp_path, member("Readme", b"1"), member("README", b"2"), directory("Dir"), member("dir", b"3"))
    assert sorted(path.name for path in found.iterdir()) == ["Dir", "README", "Readme", "dir"]
    assert (found / "README").read_bytes() == b"2"


def test_absolute_names_are_names_from_the_root_of_the_layer(tmp_path: Path) -> None:
    """As kaniko writes the root itself and the targets of hard links."""
    found = unpacked(
        tmp_path,
        directory("/", 0o711),
        member("/etc/passwd", b"own"),
        member("///etc/twin", kind=tarfile.LNKTYPE, link="/etc/passwd"),
    )
    assert found.stat().st_mode & 0o777 == 0o711
    assert (found / "etc/twin").read_bytes() == b"own"
    assert (found / "etc/twin").samefile(found / "etc/passwd")


@pytest.mark.parametrize(
    "members",
    [
        [member("link", kind=tarfile.SYMTYPE, link="/"), member("link/out", b"x")],
        [member("link", kind=tarfile.SYMTYPE, link=".."), member("link/out", b"x")],
        [member("link", kind=tarfile.SYMTYPE, link="."), member("link/link/../../out", b"x")],
        [member("link", kind=tarfile.SYMTYPE, link="/"), member("hard", kind=tarfile.LNKTYPE, link="link/etc/passwd")],
        [member("link", kind=tarfile.SYMTYPE, link="/"), member("link/etc/.wh.passwd")],
        [member("link", kind=tarfile.SYMTYPE, link="/"), member("link/.wh..wh..opq")],
        [member("link", kind=tarfile.SYMTYPE, link="loop"), member("loop", kind=tarfile.SYMTYPE, link="link"),
         member("link/out", b"x")],
        [member("hard", kind=tarfile.LNKTYPE, link="nowhere")],
        [member("hard", kind=tarfile.LNKTYPE, link="")],
        [directory("d"), member("hard", kind=tarfile.LNKTYPE, link="d")],
        [member(".wh...")],
        [member(".wh..")],
        [member(".wh.")],
        [member("d/.wh...")],
        [member("a/../.wh.x")],
    ],
    ids=range(15),
)  # fmt: skip
def test_what_leads_out_or_nowhere_is_refused(tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    outside = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises((BadInputError, OSError)) as raised:
        unpacked(tmp_path, *members)
    assert isinstance(raised.value, BadInputError), raised.value
    assert sorted(path.name for path in tmp_path.iterdir()) == [*outside, "layer"]


# --- very much of it -----------------------------------------------------------------------------


class Many:
    """The tar of many files of nothing in directories of their own, made as it is read."""

    def __init__(self, count: int) -> None:
        self._made = self._headers(count)
        self._held = b""

    def _headers(self, count: int) -> Iterator[bytes]:
        for number in range(count):
            base = f"directory-{number % 97:03}/name-of-some-length-{number:07}"
            yield header(Entry(base, Kind.DIRECTORY, 0o755, **OWN))
            yield header(Entry(f"{base}/file", Kind.FILE, 0o644, **OWN))
        yield bytes(1024)

    def read(self, size: int = -1) -> bytes:
        while len(self._held) < size and (more := next(self._made, b"")):
            self._held += more
        data, self._held = self._held[:size], self._held[size:]
        return data


def test_many_entries_take_no_more_memory_than_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contentid, "_MOST_HELD", 1 << 20)
    peaks = []
    for count in (2_000, 12_000):
        tracemalloc.start()
        try:
            extract.inspect_layer(Many(count))
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < peaks[0] + (1 << 20)


def entries(count: int, seed: int) -> list[Entry]:
    """Entries of which some come again as something else, in any order."""
    chance = random.Random(seed)
    kinds = (Kind.FILE, Kind.DIRECTORY, Kind.SYMLINK, Kind.WHITEOUT, Kind.OPAQUE)
    return [
        Entry(f"d{chance.randrange(30)}/{chance.randrange(count // 2)}\udcff", chance.choice(kinds), number)
        for number in range(count)
    ]


def test_the_content_id_of_much_is_found_in_pieces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for seed in range(5):
        some = entries(2_000, seed)
        whole = content_id(some)
        with monkeypatch.context() as patched:
            patched.setattr(contentid, "_MOST_HELD", 20_000)
            pieces = ContentId(str(tmp_path))
            for entry in some:
                pieces.add(entry)
            assert pieces.digest() == whole
    assert not list(tmp_path.iterdir())  # what is not held has no name


def test_directories_have_their_times_however_many_there_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(extract, "_MOST_TIMES", 3)
    names = [f"d{number}" for number in range(10)]
    members = [member(name, kind=tarfile.DIRTYPE, mode=0o755, mtime=1_000_000 + n) for n, name in enumerate(names)]
    # Some get more after they had their time.
    found = unpacked(tmp_path, *members, member("d0/late", b"x"), member("d5/late", b"x"), member("implied/late", b"x"))
    assert [(found / name).stat().st_mtime for name in names] == [1_000_000.0 + number for number in range(10)]


def test_extended_headers_of_one_entry_are_bounded_together() -> None:
    """Each is small; together they would fill memory."""
    info = tarfile.TarInfo("././@PaxHeader")
    info.type = tarfile.XHDTYPE
    parts = []
    for number in range(20):
        record = f"comment{number:04}=".encode() + b"x" * (1 << 20)
        length = len(record) + 2
        length += len(str(length + len(str(length))))
        body = f"{length} ".encode() + record + b"\n"
        info.size = len(body)
        parts.append(info.tobuf() + body + bytes(-len(body) % 512))
    stream = io.BytesIO(b"".join(parts) + tar(member("f", b"x")))
    with pytest.raises(BadInputError, match="extended header of"):
        list(read_entries(stream))
