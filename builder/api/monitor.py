"""The program of the process that watches a detached container."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from builder.api.session import Session
from builder.digest import Digest
from builder.events import Event, Warned
from builder.runtime.containers import Containers
from builder.runtime.detach import answer, answer_error
from builder.runtime.monitor import monitor


def main() -> None:
    """Watch the container the arguments name: descriptor to answer on, store, ID, descriptor of its lock."""
    fd, root, identifier, lock = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
    for kept in (fd, lock):
        os.set_inheritable(kept, False)
    answered = False
    warnings: list[str] = []

    def begun() -> None:
        nonlocal answered
        answered = True
        answer(fd, {"status": None, "warnings": warnings})

    def noted(event: Event) -> None:
        if isinstance(event, Warned):
            warnings.append(event.message)

    try:
        with Session(root, noted) as session:
            container = Containers(root).find(identifier)
            with session.store.leases.layers(map(Digest.parse, container.layers)):
                worker = session.worker()
                status, said = monitor(root, container, lock, worker.launcher, worker.networks, begun)
        os.close(lock)
    except BaseException as error:
        if answered:
            raise
        os.close(lock)
        answer_error(fd, error)
    else:
        if not answered:
            answer(fd, {"status": status, "warnings": [*warnings, said or "the command could not be run"]})
