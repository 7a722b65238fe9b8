from __future__ import annotations

import io
from pathlib import Path

from msgspec.structs import replace

from builder.layers.dating import date_layer, dated
from builder.layers.entry import Entry, Kind
from builder.layers.tarwrite import write_layer

EPOCH, SINCE = 1000, 5000
ENTRIES = [
    Entry("d", Kind.DIRECTORY, 0o755, mtime=3),
    Entry("d/f", Kind.FILE, 0o4755, 1, 2, size=5, mtime=SINCE, xattrs=(("user.x", b"\0\xff"),)),
    Entry("d/h", Kind.HARDLINK, 0o4755, 1, 2, mtime=SINCE + 1, link="d/f"),
    Entry("d/" + "n" * 200, Kind.FILE, 0o600, 3_000_000, 5, size=5, mtime=-5),
    Entry("far", Kind.SYMLINK, 0o777, link="../" + "t" * 150, mtime=1 << 40),
    Entry("kept", Kind.FIFO, 0o644, mtime=EPOCH - 1),
    Entry("dev", Kind.CHAR, 0o666, device=(1, 3), mtime=EPOCH + 1),
    Entry("gone", Kind.WHITEOUT),
    Entry("d", Kind.OPAQUE),
]


def test_what_is_new_or_younger_has_the_time_of_the_epoch() -> None:
    times = {e.path[:4]: dated(e, EPOCH, SINCE).mtime for e in ENTRIES if e.kind is not Kind.OPAQUE}
    new = dict.fromkeys(("d", "d/f", "d/h", "far", "dev"), EPOCH)
    assert times == new | {"d/nn": -5, "kept": EPOCH - 1, "gone": 0}


def test_an_epoch_in_the_future_is_the_time_of_what_is_new() -> None:
    times = [dated(Entry("f", Kind.FILE, mtime=at), 9000, SINCE).mtime for at in (0, SINCE - 1, SINCE, 9000, 9001)]
    assert times == [0, SINCE - 1, 9000, 9000, 9000]


def test_a_dated_layer_is_the_one_written_in_those_times(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.write_bytes(b"hello")

    def layer(entries: list[Entry]) -> tuple[bytes, object]:
        out = io.BytesIO()
        written = write_layer(((e, str(data)) for e in entries), out, "uncompressed")
        return out.getvalue(), written

    for since in (SINCE, -(1 << 62)):
        expected = [dated(e, EPOCH, since) for e in ENTRIES]
        assert [replace(e, mtime=0) for e in expected] == [replace(e, mtime=0) for e in ENTRIES]
        out = io.BytesIO()
        written = date_layer(io.BytesIO(layer(ENTRIES)[0]), out, "uncompressed", EPOCH, since)
        assert (out.getvalue(), written) == layer(expected)
        assert written.content_id == layer(ENTRIES)[1].content_id  # type: ignore[attr-defined]
