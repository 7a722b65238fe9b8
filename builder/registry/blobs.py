"""Reading a blob to its end over connections that break: what is missing is asked for again, as often as that helps."""

from __future__ import annotations

import re
from collections.abc import Callable

from builder.digest import Reader
from builder.errors import BadInputError, RegistryError
from builder.registry.transport import BrokenOffError, Response

# So often in a row may nothing come, and so often may less than _MUCH.
_MOST_IDLE, _MOST_BREAKS, _MUCH = 3, 10, 1 << 20
PAUSE = 0.2
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class ResumingReader:
    """The bytes of a blob of `size` bytes.

    `opened` gives an answer whose body begins at an offset; it is called again after a break, `stuck` when nothing
    came since the last time. `wait` sleeps. `what` is the blob as messages name it.
    """

    def __init__(
        self,
        opened: Callable[[int, bool], Response],
        size: int,
        wait: Callable[[float], None],
        what: str,
    ) -> None:
        self._opened, self._size, self._wait, self._what = opened, size, wait, what
        self._response: Response | None = None
        self._at = self._before = 0
        self._idle = self._breaks = 0

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, as they come; b"" at the end. Raises RegistryError when it comes to no end."""
        if size < 0:
            parts = []
            while self._at <= self._size and (data := self.read(1 << 20)):
                parts.append(data)
            return b"".join(parts)
        while True:
            try:
                if self._response is None:
                    self._response = self._opened(self._at, self._idle > 0)
                data = self._response.read(size)
            except BrokenOffError as error:
                self._broken(error)
                continue
            self._at += len(data)
            return data

    def close(self) -> None:
        """End the last connection."""
        if self._response is not None:
            self._response.close()
            self._response = None

    def _broken(self, error: BrokenOffError) -> None:
        """Get ready for another try. Raises RegistryError when there have been enough."""
        self.close()
        came, self._before = self._at - self._before, self._at
        self._idle = 0 if came else self._idle + 1
        self._breaks = 0 if came >= _MUCH else self._breaks + 1
        if self._idle >= _MOST_IDLE or self._breaks >= _MOST_BREAKS:
            raise RegistryError(
                f"{error.message}; of {self._what} {self._at} of {self._size} bytes came", hint="try again"
            ) from error
        self._wait(PAUSE * 2**self._idle)


def begun(response: Response, offset: int, size: int, what: str) -> Response:
    """An answer whose body goes on at `offset` of a blob of `size` bytes.

    A server may know no ranges: then what is known is skipped. Raises BadInputError for one that sends something else.
    """
    length = response.headers.get("Content-Length", "")
    start = offset
    if response.status == 206:
        found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != offset or found[3] not in ("*", str(size)):
            raise BadInputError(f"{what} was asked for from byte {offset} on, and something else was sent")
    else:
        start = 0
    if length.isdigit() and int(length) != size - start:
        raise BadInputError(f"{what} has {int(length) + start} bytes, {size} were declared")
    skipped(response, offset - start)
    return response


def skipped(source: Reader, count: int) -> None:
    """Read and forget `count` bytes, or what there is of them."""
    while count > 0 and (data := source.read(min(count, 1 << 20))):
        count -= len(data)
