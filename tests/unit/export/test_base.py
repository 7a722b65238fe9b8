from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from builder.errors import PybuildError
from builder.export.base import Out, written
from builder.linux import syscalls


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "image.tar"
    path.write_bytes(b"old")
    with pytest.raises(ValueError), written(str(path)) as file:
        file.write(b"half")
        raise ValueError
    assert path.read_bytes() == b"old"
    with written(str(path)) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["image.tar"]


def test_a_link_is_written_through(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("image.tar")
    with written(str(tmp_path / "link")) as file:
        file.write(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "image.tar").read_bytes() == b"new"


def test_a_pipe_stays_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(path.read_bytes()))
    reader.start()
    with written(str(path)) as file:
        file.write(b"new")
    reader.join()
    assert read == [b"new"]
    assert stat.S_ISFIFO(path.stat().st_mode)


@contextmanager
def piped(data: bytes) -> Iterator[IO[bytes]]:
    """A pipe through which `data` comes."""
    reader, writer = os.pipe()

    def send() -> None:
        with os.fdopen(writer, "wb") as stream:
            stream.write(data)

    thread = threading.Thread(target=send)
    thread.start()
    with os.fdopen(reader, "rb") as stream:
        yield stream
    thread.join()


@pytest.mark.parametrize("flags", [0, os.O_APPEND], ids=["written", "appended"])
def test_what_comes_through_a_pipe_is_taken_whole(tmp_path: Path, flags: int, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[tuple[int, int]] = []
    monkeypatch.setattr(syscalls, "begin_writing", lambda fd, offset, size: begun.append((offset, size)))
    data = os.urandom(1 << 20) * 21
    fd = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT | flags)
    out = Out(fd)
    assert out.write(b"before ") == 7
    with piped(data) as pipe:
        out.pour(pipe)
    out.write(b" after")
    os.close(fd)
    assert (tmp_path / "out").read_bytes() == b"before " + data + b" after"
    assert len(begun) == 2
    assert begun[0][0] == 0
    assert begun[1][0] == begun[0][1], "one piece after the other"
    assert min(size for _, size in begun) >= 8 << 20


def test_a_file_system_that_cannot_begin_to_write_is_no_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int, offset: int, size: int) -> None:
        asked.append(offset)
        raise OSError(errno.ESPIPE, "Illegal seek")

    asked: list[int] = []
    monkeypatch.setattr(syscalls, "begin_writing", refuse)
    with written(str(tmp_path / "image.tar")) as file:
        for _ in range(40):
            file.write(bytes(1 << 20))
    assert (tmp_path / "image.tar").stat().st_size == 40 << 20
    assert asked == [0]


@pytest.mark.parametrize("name", ["", "missing/image.tar"], ids=["a directory", "below nothing"])
def test_where_nothing_can_be_written_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(PybuildError, match="cannot write"), written(str(tmp_path / name)) as file:
        file.write(b"new")
    assert not list(tmp_path.parent.glob("*.tmp"))
