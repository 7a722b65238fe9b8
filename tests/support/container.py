"""Containers as CI systems start them: runc with Docker's walls, in which the program is installed.

Their root is an overlay, as a container's is, that has this machine's /usr and nothing else of it. What a container may
do is what its `Walls` say; their defaults are Docker's and containerd's, but for the seccomp profile.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.linux.seccomp import Rule
from builder.sandbox import seccomp
from tests.support.peer import PATH, program
from tests.support.user import copy_code, interpreter, open_way

# moby: daemon/pkg/oci/defaults.go; containerd: pkg/oci/spec.go
_MASKED = (
    "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap",
    "/sys/firmware",
)  # fmt: skip
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
CAPABILITIES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
    "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL",
    "CAP_AUDIT_WRITE",
)  # fmt: skip
# capabilities(7): what root of a machine may have
ALL_CAPABILITIES = (
    *CAPABILITIES,
    *(f"CAP_{name}" for name in (
        "AUDIT_CONTROL", "DAC_READ_SEARCH", "IPC_LOCK", "IPC_OWNER", "LEASE", "LINUX_IMMUTABLE", "NET_ADMIN",
        "NET_BROADCAST", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_PTRACE", "SYS_RAWIO", "SYS_RESOURCE", "SYS_TIME",
        "SYS_TTY_CONFIG", "WAKE_ALARM",
    )),
)  # fmt: skip
# The IDs of this machine that a container with users of its own has.
FIRST, _COUNT = 300000, 65536
_FILES = {
    "etc/passwd": "root:x:0:0::/root:/bin/sh\nci:x:1000:1000::/home/ci:/bin/sh\n",
    "etc/group": "root:x:0:\nci:x:1000:\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    "etc/resolv.conf": "",
}
_IDS = {"etc/subuid": "ci:100000:65536\n", "etc/subgid": "ci:100000:65536\n"}


@dataclass(frozen=True)
class Walls:
    """What a container may not. `profile` is a seccomp profile as in the OCI runtime spec, None for none.

    `own_users`: it has a user namespace, as with Kubernetes' `hostUsers: false`.
    """

    user: int = 1000
    capabilities: tuple[str, ...] = CAPABILITIES
    no_new_privileges: bool = False
    profile: Mapping[str, Any] | None = None
    unmasked: bool = False
    own_users: bool = False
    read_only: bool = False
    subordinate_ids: bool = False


def docker_s_profile(*more: str) -> dict[str, Any]:
    """Docker's default seccomp profile for a container without added capabilities; with `more` calls, which it lacks.

    With `clone` among them, that may make namespaces.
    """
    rules = [rule for rule in seccomp.rules() if not set(rule.names) & set(more)]
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": errno.EPERM,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [_written(rule) for rule in (*rules, *([Rule(tuple(more))] if more else []))],
    }


def _written(rule: Rule) -> dict[str, Any]:
    """A rule in the form of the OCI runtime spec (config-linux.md, Seccomp)."""
    written: dict[str, Any] = {"names": list(rule.names), "action": "SCMP_ACT_ALLOW"}
    if rule.error:
        written |= {"action": "SCMP_ACT_ERRNO", "errnoRet": rule.error}
    if rule.conditions:
        written["args"] = [
            {"index": one.argument, "value": one.value, "op": "SCMP_CMP_EQ"}
            if one.mask is None
            else {"index": one.argument, "value": one.mask, "valueTwo": one.value, "op": "SCMP_CMP_MASKED_EQ"}
            for one in rule.conditions
        ]
    return written


class Containers:
    """Runs commands in containers, all with the same program in them. What they leave is below `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._code = directory / "code"
        copy_code(self._code)
        self._programs = directory / "bin"
        self.program("pybuild", _PROGRAM.format(interpreter()))

    def program(self, name: str, script: str) -> None:
        """Have a program in all containers, before those of this machine."""
        _put(self._programs / name, script, 0o755)

    def capable(self, name: str, capabilities: str) -> None:
        """Have a program of this machine in all containers with capabilities (setcap(8)) in place of setuid."""
        copy = self._programs / name
        shutil.copyfile(program(name), copy)
        copy.chmod(0o755)
        subprocess.run(["setcap", capabilities, copy], check=True)

    def run(
        self,
        walls: Walls,
        *command: str,
        cwd: str = "/",
        volumes: Mapping[str, Path] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a new container, whatever comes of it. `volumes` are directories, by where they show."""
        name = f"pybuild-test-{secrets.token_hex(4)}"
        bundle = self._directory / name
        bundle.mkdir(mode=0o755)
        shown = {"/opt/pybuild": self._code, "/usr/local/bin": self._programs, **(volumes or {})}
        for path in (bundle, *shown.values()):
            open_way(path)
        (bundle / "config.json").write_text(json.dumps(_config(name, walls, command, cwd, shown, env or {})))
        _fill(bundle / "lower", walls, shown)
        # In namespaces of its own: whatever ends the test, mounts and processes are gone.
        words = [
            "unshare", "--mount", "--pid", "--mount-proc", "--fork", "--kill-child", "sh", "-ec", _START, "sh",
            str(bundle), program("runc"), name,
        ]  # fmt: skip
        try:
            return subprocess.run(
                words,
                env={"PATH": PATH},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
        finally:
            for group in (Path("/sys/fs/cgroup", name), *Path("/sys/fs/cgroup").glob(f"*/{name}")):
                with suppress(OSError):  # runc has removed it, but where it was killed
                    group.rmdir()


_PROGRAM = """#!/bin/sh
PYTHONPATH=/opt/pybuild:/opt/pybuild/site exec {} -c 'from builder.cli.main import main; main()' "$@"
"""
_START = """cd "$1"; mkdir fs; mount -t tmpfs -o mode=755 tmpfs fs; mkdir fs/upper fs/work fs/root
mount -t overlay -o lowerdir=lower,upperdir=fs/upper,workdir=fs/work overlay fs/root
exec "$2" --root "$1/state" run "$3" """


def _put(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def _fill(root: Path, walls: Walls, shown: Mapping[str, Path]) -> None:
    for name, text in (_FILES | (_IDS if walls.subordinate_ids else {})).items():
        _put(root / name, text)
    for name in ("bin", "sbin", "lib", "lib64"):
        if os.path.lexists(f"/usr/{name}"):
            (root / name).symlink_to(f"usr/{name}")
    for name in ("usr", "proc", "sys", "dev", "tmp", "home/ci", *(path.lstrip("/") for path in shown)):
        if not name.startswith("usr/"):
            (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    first = FIRST if walls.own_users else 0
    os.chown(root / "home/ci", first + 1000, first + 1000)


def _config(
    name: str, walls: Walls, command: tuple[str, ...], cwd: str, shown: Mapping[str, Path], env: Mapping[str, str]
) -> dict[str, Any]:
    """The OCI runtime configuration."""
    capabilities = list(walls.capabilities)
    own = capabilities if walls.user == 0 else []
    ids = [{"containerID": 0, "hostID": FIRST, "size": _COUNT}]
    users = {"uidMappings": ids, "gidMappings": ids} if walls.own_users else {}
    home = "/root" if walls.user == 0 else "/home/ci"
    variables = {"PATH": "/usr/local/bin:/usr/bin:/usr/sbin", "HOME": home, "NO_COLOR": "1", **env}
    return {
        "ociVersion": "1.0.2",
        "root": {"path": "fs/root", "readonly": walls.read_only},
        "hostname": "ci",
        "process": {
            "user": {"uid": walls.user, "gid": walls.user},
            "args": list(command),
            "env": [f"{key}={value}" for key, value in variables.items()],
            "cwd": cwd,
            "capabilities": {"bounding": capabilities, "permitted": own, "effective": own},
            "noNewPrivileges": walls.no_new_privileges,
        },
        "mounts": [
            _mount("proc", "proc", "/proc"),
            # a new one would need a network of its own, which what serves the test is not in
            _mount("bind", "/sys", "/sys", "rbind", "ro", "nosuid", "noexec", "nodev"),
            _mount("tmpfs", "tmpfs", "/dev", "nosuid", "mode=755", "size=65536k"),
            _mount("devpts", "devpts", "/dev/pts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"),
            _mount("tmpfs", "shm", "/dev/shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
            _mount("bind", "/usr", "/usr", "rbind", "ro"),
            *(_mount("bind", str(path), place, "rbind", "rw") for place, path in shown.items()),
        ],
        "linux": {
            "cgroupsPath": f"/{name}",
            "namespaces": [{"type": kind} for kind in ("pid", "ipc", "uts", "mount", *(["user"] if users else []))],
            "maskedPaths": [] if walls.unmasked else list(_MASKED),
            "readonlyPaths": [] if walls.unmasked else list(_READ_ONLY),
            "resources": {"devices": [{"allow": False, "access": "rwm"}]},
            **users,
            **({"seccomp": dict(walls.profile)} if walls.profile is not None else {}),
        },
    }


def _mount(kind: str, source: str, place: str, *options: str) -> dict[str, Any]:
    return {"destination": place, "type": kind, "source": source, "options": list(options)}
