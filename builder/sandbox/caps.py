"""Capability sets: Docker's default fourteen and nothing else, or for an insecure step all (capabilities(7))."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from builder.linux import syscalls

NUMBERS = {
    "chown": 0,
    "dac_override": 1,
    "fowner": 3,
    "fsetid": 4,
    "kill": 5,
    "setgid": 6,
    "setuid": 7,
    "setpcap": 8,
    "net_bind_service": 10,
    "net_raw": 13,
    "sys_chroot": 18,
    "mknod": 27,
    "audit_write": 29,
    "setfcap": 31,
}
DEFAULT = sum(1 << number for number in NUMBERS.values())
_LAST_POSSIBLE = 63


def keep() -> None:
    """Hand all this process may have on to the command it becomes, whoever runs it: inheritable and ambient."""
    held = syscalls.permitted_capabilities()
    syscalls.set_capabilities(held, held, held)
    for number in range(_LAST_POSSIBLE + 1):
        if held >> number & 1:
            syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_RAISE, number)


def bound() -> None:
    """Bound what this process, and all it forks, can ever gain by executing a program to the default set.

    What it holds now it keeps until `restrict`.
    """
    for number in range(_LAST_POSSIBLE + 1):
        if not DEFAULT >> number & 1:
            try:
                syscalls.prctl(syscalls.PR_CAPBSET_DROP, number)
            except OSError:
                break  # EINVAL: the kernel knows no higher one


def restrict(dropped: Sequence[str] = ()) -> None:
    """Cut this process, and all it will become, to the default set without those `dropped`.

    None is inheritable, none ambient. After `bound`. Those dropped it may still use to become someone else; what it
    executes can have none of them, whoever it is (capabilities(7), Transformation of capabilities during execve()).
    """
    for name in dropped:
        syscalls.prctl(syscalls.PR_CAPBSET_DROP, NUMBERS[name])
    with suppress(OSError):  # a kernel before 4.3 has no ambient set to clear
        syscalls.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL)
    held = DEFAULT & syscalls.permitted_capabilities()
    syscalls.set_capabilities(held, held)
