"""What a host that refuses namespaces is said to need."""

from __future__ import annotations

import pytest

from builder.sandbox.refusals import HostFacts, refusals

EPERM = "Operation not permitted"
USER = (("user namespace", EPERM),)
PROC = (("mounting proc", EPERM),)
UBUNTU = (("user.max_user_namespaces", "9000"), ("kernel.apparmor_restrict_unprivileged_userns", "1"))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (HostFacts(root=False, admin=False, sysctls=(("user.max_user_namespaces", "0"),), failed=USER),
         ["sysctl -w user.max_user_namespaces=15000"]),
        (HostFacts(root=False, admin=False, sysctls=(("kernel.unprivileged_userns_clone", "0"),), failed=USER),
         ["sysctl -w kernel.unprivileged_userns_clone=1"]),
        (HostFacts(root=False, admin=False, apparmor="unconfined", sysctls=UBUNTU, failed=USER),
         ["sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"]),
        (HostFacts(root=False, admin=False, apparmor="snap.x", failed=USER), ["aa-exec"]),
        (HostFacts(root=False, admin=False, failed=USER), ["root may build"]),
        (HostFacts(root=True, admin=False, container="docker", seccomp=True, apparmor="docker-default", failed=USER),
         ["seccomp=unconfined", "apparmor=unconfined"]),
        (HostFacts(root=False, admin=False, container="podman", seccomp=True, failed=PROC), ["unmask=ALL"]),
        (HostFacts(root=True, admin=True, container="Kubernetes", seccomp=True, failed=PROC), ["hostUsers: false"]),
        (HostFacts(root=True, admin=False, container="docker", failed=USER), ["--cap-add SYS_ADMIN"]),
    ],
)  # fmt: skip
def test_every_wall_has_its_door(facts: HostFacts, expected: list[str]) -> None:
    fixes = [refusal.fix for refusal in refusals(facts)]
    assert len(fixes) == len(expected)
    for fix, part in zip(fixes, expected, strict=True):
        assert part in fix


def test_nothing_refused_is_nothing_to_say() -> None:
    assert refusals(HostFacts(root=False, admin=False, sysctls=(("user.max_user_namespaces", "0"),))) == ()
