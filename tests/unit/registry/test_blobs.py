"""Reading over connections that break, without a connection."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.errors import BadInputError, RegistryError
from builder.registry.blobs import ResumingReader, begun
from builder.registry.transport import BrokenOffError

DATA = random.Random(1).randbytes(50_000)


class Part:
    """An answer that gives `data` and then breaks off, or ends."""

    def __init__(self, data: bytes, breaks: bool, status: int = 200, **headers: str) -> None:
        self._data, self._breaks, self.status = data, breaks, status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        count = len(self._data) if size < 0 else size
        data, self._data = self._data[:count], self._data[count:]
        if not data and self._breaks:
            raise BrokenOffError("r.example broke off: reset")
        return data

    def close(self) -> None:
        self.closed = True


def reader(opened: Callable[[int, bool], Any], waits: list[float] | None = None) -> ResumingReader:
    return ResumingReader(opened, len(DATA), (waits if waits is not None else []).append, "blob x of r.example/app")


def test_what_does_not_break_is_opened_once() -> None:
    opened = []
    found = reader(lambda at, stuck: opened.append((at, stuck)) or Part(DATA, breaks=False))
    assert found.read() == DATA
    assert opened == [(0, False)]


def test_five_breaks_with_something_in_between_are_no_harm() -> None:
    parts: list[Part] = []

    def opened(at: int, stuck: bool) -> Part:
        assert not stuck
        parts.append(Part(DATA[at : at + 9_000], breaks=at + 9_000 < len(DATA)))
        return parts[-1]

    waits: list[float] = []
    assert reader(opened, waits).read() == DATA
    assert len(parts) == 6
    assert all(part.closed for part in parts[:-1])
    assert len(waits) == 5


def test_tries_that_bring_nothing_end_it() -> None:
    opened: list[tuple[int, bool]] = []

    def stuck_at(at: int, stuck: bool) -> Part:
        opened.append((at, stuck))
        return Part(DATA[at:20_000], breaks=True)

    waits: list[float] = []
    found = reader(stuck_at, waits)
    with pytest.raises(RegistryError, match=r"of blob x of r\.example/app 20000 of 50000 bytes came") as caught:
        found.read()
    assert "broke off: reset" in caught.value.message
    assert opened == [(0, False), (20_000, False), (20_000, True), (20_000, True)]
    assert waits == [pytest.approx(0.2), pytest.approx(0.4), pytest.approx(0.8)]


def test_a_byte_at_a_time_is_not_waited_for_for_ever() -> None:
    opened: list[int] = []
    found = reader(lambda at, _: opened.append(at) or Part(DATA[at : at + 1], breaks=True))
    with pytest.raises(RegistryError, match="10 of 50000 bytes came"):
        found.read()
    assert len(opened) == 10


def test_an_error_in_opening_is_the_error() -> None:
    def opened(at: int, stuck: bool) -> Part:
        if at:
            raise RegistryError("r.example answered 403")
        return Part(DATA[:100], breaks=True)

    with pytest.raises(RegistryError, match="answered 403"):
        reader(opened).read()


@given(st.lists(st.integers(1, 20_000), max_size=8), st.integers(500, 30_000))
def test_wherever_it_breaks_the_bytes_are_the_same(breaks: list[int], size: int) -> None:
    left = list(breaks)

    def opened(at: int, stuck: bool) -> Part:
        count = left.pop(0) if left else len(DATA)
        return Part(DATA[at : at + count], breaks=at + count < len(DATA))

    found = reader(opened)
    parts = []
    while data := found.read(size):
        parts.append(data)
    assert b"".join(parts) == DATA
    assert max(map(len, parts)) <= size


# --- where an answer begins ----------------------------------------------------------------------


def start(part: Any, offset: int) -> bytes:
    response: Any = begun(part, offset, len(DATA), "blob x")
    return bytes(response.read())


def test_a_part_that_was_asked_for() -> None:
    part = Part(DATA[100:], False, 206, Content_Range="bytes 100-49999/50000", Content_Length="49900")
    assert start(part, 100) == DATA[100:]
    assert start(Part(DATA[100:], False, 206, Content_Range="bytes 100-49999/*"), 100) == DATA[100:]


def test_a_server_that_knows_no_ranges_sends_what_is_known_again() -> None:
    assert start(Part(DATA, False, Content_Length="50000"), 100) == DATA[100:]


@pytest.mark.parametrize(
    "part",
    [
        Part(DATA, False, 206),
        Part(DATA, False, 206, Content_Range="bytes 0-49999/50000"),
        Part(DATA, False, 206, Content_Range="bytes 100-49999/60000"),
        Part(DATA, False, 206, Content_Range="nonsense"),
        Part(DATA[100:], False, 206, Content_Range="bytes 100-49999/50000", Content_Length="1"),
        Part(DATA, False, Content_Length="49999"),
        Part(DATA, False, Content_Length="4294967296"),
    ],
)
def test_something_else_than_asked_for(part: Any) -> None:
    with pytest.raises(BadInputError, match="blob x"):
        begun(part, 100, len(DATA), "blob x")
