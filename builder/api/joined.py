"""The program of the process that waits for a detached command in a container."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import msgspec

from builder.api.running import joining, outside
from builder.readied import readied
from builder.request import ExecRequest
from builder.runtime import control
from builder.runtime.containers import Containers
from builder.runtime.detach import answer, answer_error
from builder.runtime.spec import kept_spec
from builder.runtime.terminal import pump
from builder.sandbox.enter import enter
from builder.store.open import FILTERS


def main() -> None:
    """Run a command: descriptor to answer on, store, ID of the container, ExecRequest as JSON."""
    fd, root, identifier = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    os.set_inheritable(fd, False)
    request = msgspec.json.decode(sys.argv[4], type=readied(ExecRequest))
    answered = False
    try:
        container = Containers(root).find(identifier)
        spec = joining(kept_spec(Containers(root).path(container)), request)
        launcher = outside()
        call = launcher.call(enter, None, control.running(root, container), spec, root / FILTERS)
        main = call.receive_fd() if spec.terminal else -1
        if call.begun():
            answered = True
            answer(fd, {"status": 0})
        if spec.terminal:
            pump(main, None, os.open(os.devnull, os.O_WRONLY), call)
        status = call.result()
        launcher.close()
    except BaseException as error:
        if not answered:
            answer_error(fd, error)
    else:
        if not answered:
            answer(fd, {"status": status})
