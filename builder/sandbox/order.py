"""What process 1 of a step is told to run, and then the process that becomes its command; each with descriptors."""

from __future__ import annotations

import pickle
import socket
import struct
from collections.abc import Sequence

from msgspec import Struct

from builder.linux.users import Identity
from builder.sandbox.frames import argument, descriptors, hand, send
from builder.sandbox.spec import FileMount, StepSpec


class Order(Struct, frozen=True):
    """What process 1 is told to run. `program` is the seccomp filter, empty for none. `timed`: when the command begins
    must be told.

    With it come descriptors: the root, a detached mount; stdin, stdout, stderr; the mounts that `binds` counts; the
    control groups to enter, which `entrances` counts; and those there are of `door`, to the supervisor of a step with
    one ID, `begun`, see `First.begin`, and `terminal`, to who gets the main end of the step's pseudo terminal.
    """

    spec: StepSpec
    program: bytes
    binds: int = 0
    entrances: int = 0
    door: bool = False
    begun: bool = False
    terminal: bool = False
    timed: bool = False

    @property
    def descriptors(self) -> int:
        """How many come with it."""
        return 4 + self.binds + self.entrances + self.door + self.begun + self.terminal


class Received(Struct):
    """An order, and its descriptors."""

    order: Order
    root: int
    stdio: list[int]
    binds: list[int]
    entrances: list[int]
    door: socket.socket | None
    begun: socket.socket | None
    terminal: socket.socket | None


def received(control: socket.socket) -> Received | None:
    """What to run; None when it is not to run anything."""
    with control:
        try:
            order: Order = pickle.loads(argument(control))
        except struct.error:
            return None
        fds = iter(descriptors(control, order.descriptors))

    def some(number: int) -> list[int]:
        return [next(fds) for _ in range(number)]

    def channel(there: bool) -> socket.socket | None:
        return socket.socket(fileno=next(fds)) if there else None

    root, stdio, binds, entrances = next(fds), some(3), some(order.binds), some(order.entrances)
    return Received(
        order, root, stdio, binds, entrances, channel(order.door), channel(order.begun), channel(order.terminal)
    )


class Command(Struct, frozen=True):
    """What to become, and as who. `program` is the filter, empty for none and where it was loaded before.

    With it come stdin, stdout, stderr, and those there are of `terminal`, its other end, and `door` and `begun`, as
    with an Order.
    """

    spec: StepSpec
    who: Identity
    program: bytes
    terminal: bool
    door: bool
    begun: bool
    timed: bool


def command_received(channel: socket.socket) -> tuple[Command, list[int], list[int | None]] | None:
    """What to become, the first three descriptors and the others, None for those there are not; None for nothing."""
    try:
        command: Command = pickle.loads(argument(channel))
    except struct.error:
        return None
    there = (command.terminal, command.door, command.begun)
    fds = descriptors(channel, 3 + sum(there))
    rest = iter(fds[3:])
    return command, fds[:3], [next(rest) if each else None for each in there]


def tell_to(channel: socket.socket, what: Order | Command, fds: Sequence[int]) -> None:
    """Tell the process behind `channel`. Raises OSError when it has ended."""
    send(channel, b"O", pickle.dumps(what))
    hand(channel, fds)


def rehearse() -> None:
    """Read an order, for nothing: what a fork leaves write-protected is copied page by page when it is written to.

    That is some 300 pages, a third of a millisecond, which a process that waits has.
    """
    spec = StepSpec(("true",), mounts=(FileMount("/etc/hosts", b""),))
    pickle.loads(
        pickle.dumps((Order(spec, b""), Command(spec, Identity(0, 0, (), ""), b"", False, False, False, False)))
    )
