"""What watches a detached container: it holds its lock, writes its log, keeps how it ends. No terminal, no input."""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Callable
from pathlib import Path

from builder.digest import Digest
from builder.runtime.attach import signals
from builder.runtime.contain import contain
from builder.runtime.containers import Container, Containers
from builder.runtime.log import ERR, OUT, Log, Reader
from builder.runtime.run import delete
from builder.runtime.spec import kept_spec
from builder.sandbox.launcher import Call, Launcher
from builder.sandbox.network.slots import Networks
from builder.sandbox.spec import StepResult, StepSpec

_CHUNK = 64 << 10


def monitor(
    root: Path, container: Container, lock: int, launcher: Launcher, networks: Networks, begun: Callable[[], None]
) -> tuple[int, str]:
    """Run `container` until it ends; `begun` is called when its command has begun.

    Gives its exit status and, when its command could not begin, what it said of that. Raises what keeps it from being
    run; one that has never run is removed then.
    """
    containers = Containers(root)
    path = containers.path(container)
    log = Log(path)
    try:
        with signals() as pass_on, networks.joined(kept_spec(path)) as spec:
            result, has_begun = _watched(root, container, spec, launcher, log, pass_on, begun)
        said = b"" if has_begun else b"".join(record.data for record in Reader(path).more())
        containers.end(container, lock, result.status, oom_killed=result.memory_kills > 0)
    except BaseException:
        if container.ended is None:
            delete(launcher, root, container)
        raise
    finally:
        log.close()
    if container.remove:
        delete(launcher, root, container)
    return result.status, said.decode(errors="replace").strip()


def _watched(
    root: Path,
    container: Container,
    spec: StepSpec,
    launcher: Launcher,
    log: Log,
    pass_on: Callable[[Call[StepResult]], None],
    begun: Callable[[], None],
) -> tuple[StepResult, bool]:
    pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(3)]
    (keys, unused), (out, out_end), (err, err_end) = pipes
    if not container.interactive:
        os.close(keys)
        keys = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    stack = tuple(map(Digest.parse, container.layers))
    try:
        call = launcher.call(
            contain, (keys, out_end, err_end), root, str(Containers(root).path(container)), spec, stack
        )
    finally:
        for fd in (keys, out_end, err_end):
            os.close(fd)
    pass_on(call)
    sources = {out: OUT, err: ERR}
    if spec.terminal:
        sources[call.receive_fd()] = OUT
    has_begun = call.begun()
    if has_begun:
        begun()
    _pump(call, sources, log)
    os.close(unused)
    return call.result(), has_begun


def _pump(call: Call[StepResult], sources: dict[int, int], log: Log) -> None:
    """Write to the log what comes from `sources` until the call has ended and all is read."""
    ended = False
    waiting = dict(sources)
    while not ended or waiting:
        watched = [*waiting] if ended else [*waiting, call.fileno()]
        ready, _, _ = select.select(watched, [], [], 0 if ended else None)
        if ended and not ready:
            break
        ended = ended or call.fileno() in ready
        for fd in set(ready) & set(waiting):
            try:
                data = os.read(fd, _CHUNK)
            except OSError as error:
                if error.errno != errno.EIO:  # a terminal whose other ends are closed
                    raise
                data = b""
            if data:
                log.write(waiting[fd], data)
            else:
                del waiting[fd]
    for fd in sources:
        os.close(fd)
