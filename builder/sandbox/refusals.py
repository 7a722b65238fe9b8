"""Why a host lets nobody make namespaces, and what to change: from what is known of it. Pure."""

from __future__ import annotations

from msgspec import Struct


class HostFacts(Struct, frozen=True):
    """What decides whether namespaces can be made. `sysctls` by name, without those the kernel does not have.

    `failed` says what was refused in a rehearsal, and the error: `user namespace`, `mount namespace`, `pid namespace`,
    `mounting proc`…
    """

    root: bool
    admin: bool
    container: str = ""
    seccomp: bool = False
    apparmor: str = ""
    sysctls: tuple[tuple[str, str], ...] = ()
    failed: tuple[tuple[str, str], ...] = ()


class Refusal(Struct, frozen=True):
    """One thing that stands in the way, and the change that takes it away."""

    what: str
    fix: str


# The kernel's own, Debian's and Arch's, Ubuntu's: value that forbids, value to set
SYSCTLS = {
    **{f"user.max_{kind}_namespaces": ("0", "15000") for kind in ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")},
    "kernel.unprivileged_userns_clone": ("0", "1"),
    "kernel.apparmor_restrict_unprivileged_userns": ("1", "0"),
}
# The kernel shows new ones where the old ones are seen whole.
COVERED = {"mounting proc", "mounting sysfs"}


_UNCOVER = (
    "start it with --security-opt systempaths=unconfined (podman: unmask=ALL; Kubernetes: procMount: Unmasked with "
    "hostUsers: false)"
)
SHARED = Refusal("PYBUILD_PROC is shared, and so steps see this container's processes", _UNCOVER)


def refusals(facts: HostFacts) -> tuple[Refusal, ...]:
    """What stands in the way on the host of `facts`; empty when nothing was refused."""
    if not facts.failed:
        return ()
    found = []
    values = dict(facts.sysctls)
    for name, (forbidding, good) in SYSCTLS.items():
        if values.get(name) == forbidding:
            found.append(Refusal(f"sysctl {name} is {forbidding}", f"as root of the host: sysctl -w {name}={good}"))
    if facts.container:
        found += _of_container(facts)
    elif facts.apparmor not in ("", "unconfined"):
        found.append(
            Refusal(
                f"the AppArmor profile {facts.apparmor} is in force",
                "give the program a profile that allows userns and mount, or start it by aa-exec -p unconfined",
            )
        )
    if not found:
        what, why = facts.failed[0]
        found.append(Refusal(f"the kernel refuses a {what}: {why}", "ask who runs this machine; root may build"))
    return tuple(found)


def _of_container(facts: HostFacts) -> list[Refusal]:
    """A container's own walls, each with the option of docker, podman and Kubernetes that opens it."""
    failed = {what for what, _ in facts.failed}
    found = []
    if facts.seccomp and failed - COVERED:
        found.append(
            Refusal(
                f"the seccomp profile of this {facts.container} container refuses namespaces or mounts",
                "start it with --security-opt seccomp=unconfined (Kubernetes: seccompProfile: {type: Unconfined})",
            )
        )
    if facts.apparmor not in ("", "unconfined"):
        found.append(
            Refusal(
                f"the AppArmor profile {facts.apparmor} of this container refuses mounts",
                "start it with --security-opt apparmor=unconfined (Kubernetes: appArmorProfile: {type: Unconfined})",
            )
        )
    if failed & COVERED:
        found.append(
            Refusal(
                "parts of this container's /proc are covered, so the kernel shows no new one (mount_namespaces(7))",
                f"{_UNCOVER}; or set PYBUILD_PROC=shared: steps see this container's processes then",
            )
        )
    if facts.root and not facts.admin and not found:
        found.append(
            Refusal(
                "this container's root has no CAP_SYS_ADMIN",
                "start it with --cap-add SYS_ADMIN, or let it make user namespaces",
            )
        )
    return found
