"""Who has a container's files in hand: while somebody reads them they are not removed.

<container>/hands   shared by who reads its top, held alone by who removes it or mounts it from outside

Running takes no part in this: a container may be read while it runs (see Containers.running).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from builder.errors import NotFoundError
from builder.linux.locks import locked


@contextmanager
def in_hand(path: Path, *, alone: bool = False) -> Iterator[None]:
    """The container in the directory `path` is not removed meanwhile; with `alone` no other has it in hand.

    Waits for those who have it. Raises NotFoundError when it is no more.
    """
    file = path / "hands"
    try:
        with locked(file, shared=not alone):
            if not (path / "container.json").exists():
                raise NotFoundError("the container has just been removed")
            yield
    except FileNotFoundError as error:
        if str(error.filename) != str(file):
            raise
        raise NotFoundError("the container has just been removed") from None
