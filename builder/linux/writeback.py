"""Large files that go to the disk while they are written, so that who syncs them at the end need not wait for long."""

from __future__ import annotations

# So much is on its way at once: enough for a disk's queue, and little beside what is left for the end.
_STEP = 8 << 20


class Writeback:
    """Counts what is appended to the file `fd`, and has the kernel begin to write it, piece by piece.

    The kernel itself begins after seconds, or when a tenth of the memory waits to be written: most builds are done by
    then, and wait for all of it at once.
    """

    def __init__(self, fd: int) -> None:
        self._fd, self._begun, self._end = fd, 0, 0

    def wrote(self, size: int) -> None:
        """That `size` bytes more are in the file."""
        self._end += size
        if self._end - self._begun >= _STEP:
            self._begin()

    def _begin(self) -> None:
        # lazy: only for what is large
        from builder.linux.syscalls import begin_writing

        start, self._begun = self._begun, self._end
        try:
            begin_writing(self._fd, start, self._end - start)
        except OSError:  # what goes wrong there, and what cannot do this, is told by fsync(2)
            self._begun = 1 << 63
