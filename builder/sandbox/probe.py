"""What this host lets pybuild do: the tier, by a rehearsal of what every step needs, and why it is no better one.

Only `doctor` and errors ask; a build finds its tier by taking it (launcher.py), which costs nothing more.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from msgspec import Struct

from builder.errors import HostError
from builder.linux import seccomp as filters
from builder.linux import syscalls
from builder.sandbox import cgroups, seccomp
from builder.sandbox.facts import explained
from builder.sandbox.launcher import Launcher
from builder.sandbox.ops import new
from builder.sandbox.refusals import COVERED, SHARED, Refusal
from builder.sandbox.tiers import Tier, shares_proc


class Findings(Struct, frozen=True):
    """The tier and what there is to say of it.

    `better` is what keeps steps from being isolated better; `refusals` what keeps steps from running at all.
    `filter` is the version of libseccomp, empty for none. `limits` are the controllers steps can be limited by.
    """

    tier: Tier
    better: tuple[Refusal, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    filter: str = ""
    limits: tuple[str, ...] = ()


def findings(launcher: Callable[[], Launcher]) -> Findings:
    """What this process can do. `launcher` gives a launcher, or raises HostError when there can be none."""
    limits = tuple(sorted(cgroups.offered()))
    try:
        started = launcher()
    except HostError as error:
        refusals = (Refusal(error.message, error.hint or ""),)
        return Findings(Tier.NONE, refusals=refusals, filter=_version(), limits=limits)
    failed, version = started.call(_rehearsed, None).result()
    shared = [(what, why) for what, why in failed if what in COVERED and shares_proc()]
    if len(failed) > len(shared):
        return Findings(Tier.NONE, refusals=explained(failed), filter=version, limits=limits)
    better = [SHARED] if shared else []
    if started.one_id is not None:
        better.append(Refusal(started.one_id.message, started.one_id.hint or ""))
    tier = Tier.ONE_ID if started.one_id is not None else Tier.RANGES if started.in_user_namespace else Tier.ROOT
    return Findings(tier, tuple(better), filter=version, limits=limits)


def _version() -> str:
    """The version of libseccomp; empty for none."""
    try:
        return filters.version()
    except HostError:
        return ""


# --- in the launcher's child ---------------------------------------------------------------------


def _rehearsed() -> tuple[tuple[tuple[str, str], ...], str]:
    """What of a step's set-up is refused here, and the version of libseccomp."""
    return _failures(), _version()


def _failures() -> tuple[tuple[str, str], ...]:
    """What is refused: what comes after it would fail for the same reason, but where it can do without."""
    failed: tuple[tuple[str, str], ...] = ()
    acts: tuple[tuple[str, Callable[[], object]], ...] = (
        ("mount namespace", _own_mounts),
        ("network namespace", lambda: syscalls.unshare(syscalls.CLONE_NEWNET)),
        ("process in new namespaces", _cloned),
        ("pid namespace", lambda: syscalls.unshare(syscalls.CLONE_NEWPID | syscalls.CLONE_NEWIPC)),
        ("uts namespace", lambda: syscalls.unshare(syscalls.CLONE_NEWUTS)),
        ("mount", _detached),
        ("host name", lambda: syscalls.sethostname("rehearsal")),
        ("mounting proc", _proc),
        ("seccomp filter", lambda: filters.load(seccomp.program(None))),
    )
    for what, act in acts:
        try:
            act()
        except OSError as error:
            failed += ((what, error.strerror or str(error)),)
        except HostError as error:
            failed += ((what, error.message),)
        if failed and not (failed[-1][0] in COVERED and shares_proc()):
            break
    return failed


def _own_mounts() -> None:
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount(None, "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)


def _cloned() -> None:
    child = syscalls.fork_tied(syscalls.CLONE_NEWPID | syscalls.CLONE_NEWIPC)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def _detached() -> None:
    """Mounts as the sandbox makes them: detached, with attributes, attached by descriptors."""
    os.close(new("tmpfs", mode="755"))
    fd = syscalls.open_tree("/dev/null")
    try:
        syscalls.mount_setattr(fd, syscalls.MS_NOEXEC)
        syscalls.move_mount(fd, "/dev/null")
    finally:
        os.close(fd)


def _proc() -> None:
    """Mount a new /proc, as a process of the new pid namespace must."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        try:
            syscalls.mount("proc", "/proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
        except OSError as error:
            os.write(writer, str(error.errno).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        number = answer.read()
    os.waitpid(child, 0)
    if number:
        raise OSError(int(number), os.strerror(int(number)))
