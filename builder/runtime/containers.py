"""The containers of a store: what each is, on disk; which of them run.

<root>/containers/<id>/container.json   what it is and how it ended
<root>/containers/<id>/lock             held while it runs
<root>/containers/<id>/upper, work      its writable top
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from builder.digest import Digest
from builder.errors import NotFoundError, UsageError
from builder.linux.files import write_atomically
from builder.linux.locks import locked, try_lock
from builder.store.blobs import store_errors


class Container(msgspec.Struct, frozen=True):
    """A container. Times in seconds since the epoch; `status` is None until it has ended."""

    id: str
    name: str
    image: str
    image_id: str
    command: tuple[str, ...]
    layers: tuple[str, ...]
    created: float
    ended: float | None = None
    status: int | None = None


class Containers:
    """The containers of the store at `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._directory = root / "containers"

    def path(self, container: Container) -> Path:
        """Its directory."""
        return self._directory / container.id

    @contextmanager
    def created(
        self,
        name: str | None,
        image: str,
        image_id: Digest,
        command: tuple[str, ...],
        layers: tuple[Digest, ...],
    ) -> Iterator[Container]:
        """A new container that counts as running inside. Raises UsageError when its name is taken."""
        identifier = os.urandom(32).hex()
        container = Container(
            identifier,
            name or f"c-{identifier[:8]}",
            image,
            str(image_id),
            command,
            tuple(str(d) for d in layers),
            time.time(),
        )
        path = self.path(container)
        with store_errors(self._root), locked(self._root / "locks" / "containers"):
            taken = next((c for c in self.all() if c.name == container.name), None)
            if taken is not None:
                raise UsageError(
                    f"the name {name} is taken by container {taken.id[:12]}",
                    hint=f"remove it (pybuild rm {name}) or choose another name",
                )
            path.mkdir()
            held = try_lock(path / "lock")
            self.write(container)
        try:
            yield container
        finally:
            if held is not None:
                os.close(held)

    def write(self, container: Container) -> None:
        """Keep what is known of a container."""
        write_atomically(f"{self.path(container)}/container.json", msgspec.json.encode(container))

    def all(self) -> list[Container]:
        """Every container, newest first."""
        found = []
        for path in self._directory.glob("*/container.json"):
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=Container))
            except FileNotFoundError:
                continue
        return sorted(found, key=lambda c: c.created, reverse=True)

    def find(self, text: str) -> Container:
        """The container of a name, an ID, or a clear beginning of one. Raises NotFoundError, UsageError."""
        everything = self.all()
        found = [c for c in everything if c.name == text] or [c for c in everything if c.id.startswith(text)]
        if not found:
            raise NotFoundError(f"no such container: {text}", hint="pybuild ps lists what there is")
        if len(found) > 1:
            raise UsageError(f"{text} begins the IDs of several containers", hint="give more digits")
        return found[0]

    def running(self, container: Container) -> bool:
        """Whether its process lives."""
        try:
            fd = try_lock(self.path(container) / "lock")
        except FileNotFoundError:
            return False
        if fd is None:
            return True
        os.close(fd)
        return False

    def layers(self) -> Iterator[Digest]:
        """The diff IDs that containers stand on."""
        for container in self.all():
            yield from map(Digest.parse, container.layers)
