"""What is known of a host that refuses what steps need, gathered when it does, and the error that tells of it."""

from __future__ import annotations

import os
from pathlib import Path

from builder.errors import HostError
from builder.sandbox.refusals import SYSCTLS, HostFacts, Refusal, refusals
from builder.sandbox.tiers import is_admin

# PROC_PID_INIT_INO (linux/proc_ns.h): the namespace of the machine's own processes
_FIRST_PIDS = 0xEFFFFFFC


def refused(what: str, why: str) -> HostError:
    """The error for a process that is refused `what` (as in HostFacts), with all that stands in its way."""
    found = explained(((what, why),))
    return HostError(
        f"steps cannot be isolated here: {'; '.join(r.what for r in found)}",
        hint="; ".join(dict.fromkeys(r.fix for r in found)) + "; pybuild doctor tells more",
    )


def explained(failed: tuple[tuple[str, str], ...]) -> tuple[Refusal, ...]:
    """What stands in the way of what was refused, each with its error (see HostFacts)."""
    return refusals(_facts(failed))


def _facts(failed: tuple[tuple[str, str], ...]) -> HostFacts:
    status = dict(line.split(":\t", 1) for line in _text("/proc/self/status").splitlines() if ":\t" in line)
    sysctls = ((name, _text(f"/proc/sys/{name.replace('.', '/')}").strip()) for name in SYSCTLS)
    return HostFacts(
        root=os.geteuid() == 0,
        admin=is_admin(),
        container=_container(),
        seccomp=status.get("Seccomp") == "2",
        apparmor=_text("/proc/self/attr/current").strip("\0\n").split(" ")[0],
        sysctls=tuple((name, value) for name, value in sysctls if value),
        failed=failed,
    )


def _container() -> str:
    """What kind of container this process is in, OCI for one that tells no more; empty for none."""
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        return "Kubernetes"
    if os.path.exists("/run/.containerenv"):
        return "podman"
    if os.path.exists("/.dockerenv"):
        return "docker"
    return "" if os.stat("/proc/self/ns/pid").st_ino == _FIRST_PIDS else "OCI"


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
