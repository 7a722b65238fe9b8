"""What two layers that should be the same differ in, and what that is said to come from."""

from __future__ import annotations

import io
from functools import partial

import pytest
from msgspec.structs import replace

from builder.digest import Reader
from builder.layers.entry import Entry, Kind
from builder.layers.tarwrite import copy_layer
from builder.views.unlike import TIME_HINT, Unlike, unlike

FILE = Entry("d/f", Kind.FILE, 0o644, 1, 2, mtime=50)
NO_SINCE = (1 << 40, 1 << 40)


def layer(*entries: tuple[Entry, bytes]) -> bytes:
    out = io.BytesIO()
    copy_layer(((replace(e, size=len(data)), io.BytesIO(data)) for e, data in entries), out, "uncompressed")
    return out.getvalue()


def opened(tar: bytes) -> Reader:
    return io.BytesIO(tar)


def found(one: bytes, other: bytes, epoch: int | None = None, since: tuple[int, int] = NO_SINCE) -> Unlike | None:
    differs = unlike(partial(opened, one), partial(opened, other), epoch, since)
    return None if differs is None else differs[0]


@pytest.mark.parametrize(
    ("change", "what", "first", "second"),
    [
        ({"mode": 0o600}, "mode", "mode 0644", "mode 0600"),
        ({"gid": 3}, "owner", "owner 1:2", "owner 1:3"),
        ({"mtime": 51}, "time", "time 50", "time 51"),
        ({"kind": Kind.FIFO}, "kind", "file of 0 bytes", "fifo"),
        ({"xattrs": (("user.a", b"x"),)}, "attributes", "attributes ", "attributes user.a=2d711642b726"),
    ],
)
def test_what_of_an_entry_differs(change: dict[str, object], what: str, first: str, second: str) -> None:
    got = found(layer((FILE, b"")), layer((replace(FILE, **change), b"")))
    assert got is not None
    assert (got.path, got.what, got.first, got.second, got.count) == ("/d/f", (what,), first, second, 1)


@pytest.mark.parametrize(
    ("one", "other", "diff", "hint"),
    [
        (b"a\nb\n", b"a\nc\n", ("-b", "+c"), ""),
        (b"at 10:01:02\n", b"at 10:01:03\n", ("-at 10:01:02", "+at 10:01:03"), TIME_HINT),
        (b"1795648289\n", b"1795648290\n", ("-1795648289", "+1795648290"), TIME_HINT),
        (b"x\ny\n", b"y\nx\n", ("+y", " x", "-y"), "the same lines in another order: sort them"),
        (b"x y\n", b"y x\n", ("-x y", "+y x"), "the same words in another order: sort them"),
        (b"\x1b[31m\n", b"\n", ("-\\x1b[31m", "+"), ""),
        (b"\0\1a", b"\0\2a", ("not text; they differ from byte 1 on: 01 61 | 02 61",), ""),
        (b"\0a", b"\0a\0", ("not text; they differ from byte 2 on:  | 00",), ""),
        (
            b"\x1f\x8b\x08\0AAAA\0",
            b"\x1f\x8b\x08\0BBBB\0",
            ("not text; they differ from byte 4 on: 41 41 41 41 00 | 42 42 42 42 00",),
            "gzip keeps the time of its input: gzip -n does not",
        ),
        (b"\0ab", b"\0ba", ("not text; they differ from byte 1 on: 61 62 | 62 61",), "the same bytes in another order"),
        (
            b"\n".join(b"%d" % n for n in range(20)),
            b"",
            (*(f"-{n}" for n in range(8)), "…"),
            "",
        ),
        (b"x" * 300, b"", ("-" + "x" * 98 + "…",), ""),
    ],
)
def test_content_is_shown_as_text_where_it_is_some(one: bytes, other: bytes, diff: tuple[str, ...], hint: str) -> None:
    got = found(layer((FILE, one)), layer((FILE, other)))
    assert got is not None
    assert (got.what, got.hint) == (("content",), hint)
    assert got.diff == tuple(line for line in diff if not line.startswith(" "))


def test_what_one_has_alone_and_another_order() -> None:
    more = Entry("d/g", Kind.FILE, 0o644)
    got = found(layer((FILE, b""), (more, b"x")), layer((FILE, b"")))
    assert got == Unlike("/d/g", ("missing",), "file of 1 bytes")
    renamed = found(layer((FILE, b""), (more, b"x")), layer((FILE, b""), (replace(more, path="d/h"), b"x")))
    assert renamed is not None
    assert (renamed.path, renamed.count, renamed.hint) == ("/d/g", 2, "a name that is another one each time")
    order = found(layer((FILE, b""), (more, b"x")), layer((more, b"x"), (FILE, b"")))
    assert order is not None
    assert order.what == ("order",)


def test_the_epoch_and_the_beginning_of_each_build_count() -> None:
    one, other = (layer((replace(FILE, mtime=at), b"")) for at in (5000, 6000))
    assert found(one, other) is not None
    assert found(one, other, 1000) is None
    assert found(one, other, 9000) is not None
    assert found(one, other, 9000, (5000, 6000)) is None


def test_pairs_of_files_lead_from_a_copy_to_its_source() -> None:
    a = partial(opened, layer((FILE, b"1"))), partial(opened, layer((FILE, b"2")))
    copy = replace(FILE, path="elsewhere")
    b = partial(opened, layer((copy, b"1"))), partial(opened, layer((copy, b"2")))
    one, other = unlike(*a, None, NO_SINCE), unlike(*b, None, NO_SINCE)
    assert one is not None
    assert other is not None
    assert one[1] == other[1]
    assert len(one[1]) == 1
