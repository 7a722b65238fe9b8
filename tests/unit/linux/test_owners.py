"""Records of owners: what is written is read, and nothing else is taken for one."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from builder.errors import HostError
from builder.linux import owners
from builder.linux.owners import Record, check_mapped, is_record, keep, parsed, parsed_special, record, special, text

LARGEST = 2**32 - 2
RECORDS = [Record(1, 0), Record(0, 1), Record(1000, 50), Record(LARGEST, LARGEST)]


@pytest.mark.parametrize("what", RECORDS)
def test_a_record_is_read_as_it_was_written(what: Record) -> None:
    assert parsed(text(what)) == what
    assert parsed_special(special(what)) == what


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK])
@pytest.mark.parametrize("device", [os.makedev(1, 3), os.makedev(0, 0), os.makedev(4095, 1048575)])
def test_a_device_is_read_as_it_was_written(kind: int, device: int) -> None:
    what = Record(5, 6, (kind, device))
    assert parsed_special(special(what)) == what


@pytest.mark.parametrize(
    "data", [b"", b":", b"1", b"1:", b"1:2:3", b"-1:0", b"4294967295:0", b"1" * 40 + b":1", b"\xb2:1", b" 1:1"]
)
def test_anything_else_is_no_record(data: bytes) -> None:
    assert parsed(data) is None


@pytest.mark.parametrize(
    "data",
    [b"", bytes(20), bytes.fromhex("0100000200200000000000000000000000000000"), special(Record(1, 1))[:-1],
     special(Record(1, 1, (stat.S_IFREG, 0)))],
)  # fmt: skip
def test_real_capabilities_are_no_record(data: bytes) -> None:
    assert parsed_special(data) is None
    assert not is_record("security.capability", data)


def test_a_file_keeps_its_record(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    keep(str(path), Record(3, 4))
    os.rename(path, tmp_path / "other")
    os.link(tmp_path / "other", path)
    assert record(str(path), stat.S_IFREG) == Record(3, 4)
    keep(str(tmp_path / "other"), Record())
    assert record(str(path), stat.S_IFREG) is None
    assert not os.listxattr(path)


def test_any_id_can_be_recorded_but_the_one_that_means_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owners, "one_id", lambda: True)
    check_mapped(LARGEST, LARGEST)
    with pytest.raises(HostError):
        check_mapped(LARGEST + 1, 0)
