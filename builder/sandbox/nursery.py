"""Where process 1 of a step is forked from, by a child of the launcher that runs many steps.

    child ──fork, once──▶ nursery ──fork of a sibling (CLONE_PARENT), for each step──▶ process 1, a child of the child

What a process writes to after a fork costs it a copy of each page, as long as the other one has it too. The nursery
does nothing but fork, so it is not the child that pays, in the middle of each step, for some 800 pages.
"""

from __future__ import annotations

import os
import pickle
import socket
import struct
from contextlib import suppress
from typing import NoReturn

from builder.linux import syscalls
from builder.sandbox import init
from builder.sandbox.command import close_all_but
from builder.sandbox.frames import argument, descriptors, hand, send
from builder.sandbox.spec import Shape


class Nursery:
    """A nursery of this process; see First for `program` and `place`. Raises OSError."""

    def __init__(self, program: bytes, place: str) -> None:
        self._control, theirs = socket.socketpair()
        parent = os.pidfd_open(os.getpid())
        try:
            with theirs:
                self._pid = syscalls.fork_tied()
                if self._pid == 0:
                    os.setpgid(0, 0)
                    _serve(theirs, parent, program, place)
        except OSError:
            self._control.close()
            raise
        finally:
            os.close(parent)
        with suppress(OSError):  # whoever is first: see child
            os.setpgid(self._pid, self._pid)

    def fork(self, shown: Shape, flags: int, control: socket.socket, report: int) -> int | None:
        """Have a process 1 forked, as `init.serve`, into new namespaces; gives its number. Raises OSError.

        None when it cannot be, as somebody has killed the nursery.
        """
        try:
            send(self._control, b"S", pickle.dumps((shown, flags)))
            hand(self._control, [control.fileno(), report])
            number = int(argument(self._control))
        except (struct.error, ConnectionError):
            return None
        if number < 0:
            raise OSError(-number, os.strerror(-number))
        return number

    def end(self) -> None:
        """End it; what was forked goes on."""
        self._control.close()
        with suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def _serve(control: socket.socket, parent: int, program: bytes, place: str) -> NoReturn:
    try:
        close_all_but(control.fileno(), parent)
        while True:
            shown, flags = pickle.loads(argument(control))
            theirs, report = descriptors(control, 2)
            try:
                number = syscalls.fork_tied(flags, parent)
            except OSError as error:
                number = -(error.errno or 1)
            if number == 0:
                os.setpgid(0, 0)
                init.serve(shown, program, place, socket.socket(fileno=theirs), report)
            os.close(theirs)
            os.close(report)
            send(control, b"P", str(number).encode())
    except (OSError, struct.error, ValueError):
        pass  # nobody needs it any more
    finally:
        os._exit(0)
