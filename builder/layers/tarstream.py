"""A plain tar of named files, written as they come: the outside of image archives. Layers: tarwrite.py."""

from __future__ import annotations

from builder.digest import Reader, Writer
from builder.errors import BadInputError
from builder.layers.entry import Entry, Kind
from builder.layers.tarwrite import header

_CHUNK = 1 << 20


class TarStream:
    """Writes regular files of mode 0644 and time 0, so that the same files give the same bytes."""

    def __init__(self, sink: Writer) -> None:
        self._sink = sink

    def add(self, name: str, data: bytes) -> None:
        """A file with `data`."""
        self._sink.write(header(Entry(name, Kind.FILE, 0o644, size=len(data))))
        self._sink.write(data + bytes(-len(data) % 512))

    def copy(self, name: str, size: int, source: Reader) -> None:
        """A file with the `size` bytes of `source`. Raises BadInputError when it has more or fewer."""
        self._sink.write(header(Entry(name, Kind.FILE, 0o644, size=size)))
        written = 0
        while data := source.read(_CHUNK):
            written += len(data)
            if written > size:
                break
            self._sink.write(data)
        if written != size:
            raise BadInputError(f"{name} has other than the {size} bytes it should have")
        self._sink.write(bytes(-size % 512))

    def finish(self) -> None:
        """The end of the archive."""
        self._sink.write(bytes(1024))
