"""A container's log."""

from __future__ import annotations

from pathlib import Path

from builder.runtime.log import ERR, LOST, OUT, Log, Reader, Record


def said(records: list[Record]) -> list[tuple[int, bytes]]:
    return [(record.stream, record.data) for record in records]


def test_what_is_written_is_read_in_order(tmp_path: Path) -> None:
    assert not Reader(tmp_path).exists()
    log = Log(tmp_path)
    log.write(OUT, b"one\n")
    log.write(ERR, b"\xff")
    log.close()
    assert Reader(tmp_path).exists()
    records = list(Reader(tmp_path).more())
    assert said(records) == [(OUT, b"one\n"), (ERR, b"\xff")]
    assert 0 < records[0].nanoseconds <= records[1].nanoseconds


def test_a_log_goes_on_where_it_ended(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    for data in (b"first", b"second"):
        log = Log(tmp_path)
        log.write(OUT, data)
        log.close()
        assert said(list(reader.more())) == [(OUT, data)]
    assert list(reader.more()) == []


def test_the_oldest_is_lost_and_counted(tmp_path: Path) -> None:
    log = Log(tmp_path, file_bytes=100)
    for number in range(100):
        log.write(OUT, f"{number:010}".encode())
    log.close()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 200
    records = list(Reader(tmp_path).more())
    kept = [record.data for record in records if record.stream == OUT]
    assert kept == [f"{number:010}".encode() for number in range(100 - len(kept), 100)]
    lost = [int(record.data) for record in records if record.stream == LOST]
    assert lost[-1] + sum(map(len, kept)) == 1000


def test_a_reader_goes_on_in_the_next_file(tmp_path: Path) -> None:
    log, reader = Log(tmp_path, file_bytes=100), Reader(tmp_path)
    found = []
    for number in range(20):
        log.write(OUT, f"{number:010}".encode())
        found += [record.data for record in reader.more() if record.stream == OUT]
    log.close()
    assert found == [f"{number:010}".encode() for number in range(20)]


def test_half_a_record_is_waited_for(tmp_path: Path) -> None:
    log = Log(tmp_path)
    log.write(OUT, b"whole")
    log.close()
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole + whole[:-1])
    reader = Reader(tmp_path)
    assert said(list(reader.more())) == [(OUT, b"whole")]
    file.write_bytes(whole + whole)
    assert said(list(reader.more())) == [(OUT, b"whole")]
