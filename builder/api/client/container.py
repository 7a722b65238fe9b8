"""`Container`: a container of a store, as programs use it."""

from __future__ import annotations

from msgspec import Struct

from builder.api.client.place import Place
from builder.api.containers import ContainerRow, containers, remove
from builder.api.running import kill, printed, stop, wait
from builder.api.session import Session


class Container(Struct, frozen=True, eq=False):
    """A container as it was when it was asked for.

    `image` is what it was run as, `command` its words. `state` is created, running, exited or dead; `status` its exit
    status, None before its end. `created` is in seconds since the epoch.
    """

    place: Place
    id: str
    name: str
    image: str
    command: tuple[str, ...]
    state: str
    status: int | None
    created: float

    def __repr__(self) -> str:
        return f"<Container {self.name}>"

    @property
    def running(self) -> bool:
        """Whether it runs, or is about to."""
        return self.state in ("created", "running")

    def logs(self) -> bytes:
        """What it has printed so far, both outputs. Raises NotFoundError where that went to who ran it."""

        def work(session: Session) -> bytes:
            return b"".join(record.data for records in printed(session, self.id) for record in records)

        return self.place.do(work)

    def wait(self) -> int:
        """Wait for its end; returns its exit status. Raises NotFoundError."""
        return self.place.do(lambda session: wait(session, self.id))

    def stop(self, timeout: float = 10) -> None:
        """Have it end: by its image's signal, and by SIGKILL `timeout` seconds later."""
        self.place.do(lambda session: stop(session, self.id, timeout))

    def kill(self, signal: str = "KILL") -> None:
        """Send it a signal. Raises UsageError when it does not run."""
        self.place.do(lambda session: kill(session, self.id, signal))

    def remove(self, *, force: bool = False) -> None:
        """Take it out of the store, with its files. Raises UsageError for one that runs, unless `force`."""
        self.place.do(lambda session: remove(session, self.id, force=force))


def all_containers(session: Session, place: Place) -> list[Container]:
    """Every container; see Store.containers."""
    return [_container(place, row) for row in containers(session)]


def _container(place: Place, row: ContainerRow) -> Container:
    known = row.container
    return Container(place, known.id, known.name, known.image, known.command, row.state, known.status, known.created)
