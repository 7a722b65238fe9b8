"""Control groups: the limits of a step, and what it used of them; version 1, version 2, or both side by side.

A group is made only for a step that has limits, below this process's own (or the `parent` asked for), and removed
when the step has ended. Its directory is locked by who made it: one that is not was left behind by a process that was
killed, and goes with the next group that is made beside it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from builder.errors import HostError
from builder.sandbox.spec import Resources

_PREFIX = "pybuild-"
_PERIOD_MICROSECONDS = 100_000
# A group whose last process has just ended is busy for a moment.
_PATIENCE_SECONDS = 2.0


class Hierarchy(Struct, frozen=True):
    """Where a controller's groups are: the mount's directory, its root in the hierarchy, and the version (1 or 2)."""

    directory: str
    root: str
    version: int


class Used(Struct, frozen=True):
    """What a group's processes used and met: peak memory in bytes (0: unknown), kills for memory, refused forks."""

    peak_bytes: int = 0
    memory_kills: int = 0
    refused_forks: int = 0


class Group(Struct, frozen=True):
    """A step's groups: one directory a controller, the same one with version 2."""

    directories: Mapping[str, str]
    version: int

    def entrances(self) -> list[int]:
        """Descriptors; who writes `0` to each of them is in the group (cgroups(7), cgroup.procs)."""
        paths = dict.fromkeys(self.directories.values())
        return [os.open(f"{path}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC) for path in paths]

    def used(self) -> Used:
        """What was used so far."""
        memory, pids = self.directories.get("memory"), self.directories.get("pids")
        peak, events, kills = {
            1: ("memory.max_usage_in_bytes", "memory.oom_control", "oom_kill"),
            2: ("memory.peak", "memory.events", "oom_kill"),
        }[self.version]
        return Used(
            0 if memory is None else _number(_read(f"{memory}/{peak}")),
            0 if memory is None else _field(_read(f"{memory}/{events}"), kills),
            0 if pids is None else _field(_read(f"{pids}/pids.events"), "max"),
        )


def hierarchies(mountinfo: str) -> dict[str, Hierarchy]:
    """The controllers' hierarchies by name, version 2 as ``, from the text of /proc/self/mountinfo (proc(5))."""
    found: dict[str, Hierarchy] = {}
    for line in mountinfo.splitlines():
        before, _, after = line.partition(" - ")
        fields, (kind, _, options) = before.split(), after.split(None, 2)
        root, directory = fields[3], fields[4].replace("\\040", " ")
        if kind == "cgroup2":
            found[""] = Hierarchy(directory, root, 2)
        elif kind == "cgroup":
            for name in options.split(","):
                found[name] = Hierarchy(directory, root, 1)
    return found


def memberships(text: str) -> dict[str, str]:
    """The groups a process is in by controller, version 2 as ``, from the text of /proc/self/cgroup (cgroups(7))."""
    found = {}
    for line in text.splitlines():
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            found[name] = path
    return found


def settings(limits: Resources, version: int) -> dict[str, tuple[tuple[str, str], ...]]:
    """The files to write for `limits` by controller, in order."""
    found: dict[str, tuple[tuple[str, str], ...]] = {}
    # As in Docker: unless told otherwise, as much swap as memory.
    both = limits.memory_swap or 2 * limits.memory
    if limits.memory and version == 1:
        swap = () if both < 0 else (("memory.memsw.limit_in_bytes", str(both)),)
        found["memory"] = (("memory.limit_in_bytes", str(limits.memory)), *swap)
    elif limits.memory:
        swap_alone = "max" if both < 0 else str(both - limits.memory)
        found["memory"] = (("memory.max", str(limits.memory)), ("memory.swap.max", swap_alone))
    processors = _processors(limits, version)
    if processors:
        found["cpu"] = processors
    if limits.cpuset_cpus or limits.cpuset_mems:
        found["cpuset"] = (("cpuset.cpus", limits.cpuset_cpus), ("cpuset.mems", limits.cpuset_mems))
    if limits.pids:
        found["pids"] = (("pids.max", str(limits.pids)),)
    return found


def _processors(limits: Resources, version: int) -> tuple[tuple[str, str], ...]:
    """Of the controller `cpu`: the share, and what of each period."""
    found = []
    if limits.cpu_shares:
        # As runc has it: 2 to 262144 made 1 to 10000, on which the default, 1024, is 39.
        weight = 1 + (limits.cpu_shares - 2) * 9999 // 262142
        found.append(("cpu.shares", str(limits.cpu_shares)) if version == 1 else ("cpu.weight", str(weight)))
    period = limits.cpu_period or _PERIOD_MICROSECONDS
    quota = limits.cpu_quota or round(limits.cpus * _PERIOD_MICROSECONDS)
    if version == 2 and (quota or limits.cpu_period):
        found.append(("cpu.max", f"{quota or 'max'} {period}"))
    if version == 1 and (quota or limits.cpu_period):
        found.append(("cpu.cfs_period_us", str(period)))
    if version == 1 and quota:
        found.append(("cpu.cfs_quota_us", str(quota)))
    return tuple(found)


# Files a kernel may lack: swap that is not counted is not limited either (Docker warns, and goes on).
_OPTIONAL = {"memory.memsw.limit_in_bytes", "memory.swap.max"}


@contextmanager
def group(limits: Resources) -> Iterator[Group | None]:
    """A group with `limits`, as long as the context lasts; None for no limits. Raises HostError for what cannot be."""
    if not limits.grouped:
        yield None
        return
    known = hierarchies(_read("/proc/self/mountinfo"))
    own = memberships(_read("/proc/self/cgroup"))
    wanted = settings(limits, 2)
    version = 2 if "" in known and set(wanted) <= _offered(known[""].directory) else 1
    with ExitStack() as stack:
        directories: dict[str, str] = {}
        made: dict[str, str] = {}
        for name, files in settings(limits, version).items():
            key = name if version == 1 else ""
            above = _above(name, known.get(key), own.get(key, "/"), limits.parent)
            if above not in made:
                if version == 2:
                    above = _delegated(above, set(wanted), limits.parent)
                made[above] = stack.enter_context(_made(above, name))
            directories[name] = made[above]
            _limit(directories[name], name, files)
        yield Group(directories, version)


def offered() -> frozenset[str]:
    """The controllers this process may limit steps by: those whose groups it may make here."""
    known = hierarchies(_read("/proc/self/mountinfo"))
    own = memberships(_read("/proc/self/cgroup"))
    found = set()
    for name in ("memory", "cpu", "cpuset", "pids"):
        version = 2 if "" in known and name in _offered(known[""].directory) else 1
        with suppress(HostError):
            key = name if version == 1 else ""
            above = _above(name, known.get(key), own.get(key, "/"), "")
            if version == 2:
                above = _delegated(above, {name}, "")
            if os.access(above, os.W_OK):
                found.add(name)
    return frozenset(found)


def _offered(directory: str) -> set[str]:
    return set(_read(f"{directory}/cgroup.controllers").split())


def _above(name: str, hierarchy: Hierarchy | None, own: str, parent: str) -> str:
    """The directory the new group goes into."""
    if hierarchy is None:
        raise HostError(
            f"steps cannot be limited here: no {name} controller is mounted",
            hint="mount the cgroup file system (in a container: docker run --cgroupns=private), or leave it away",
        )
    path = parent if parent.startswith("/") else f"{own.rstrip('/')}/{parent}"
    inside = os.path.relpath(path, hierarchy.root) if hierarchy.root != "/" else path.lstrip("/")
    if inside.startswith(".."):
        inside = ""  # a container's own mount shows its own group as the top
    return os.path.normpath(f"{hierarchy.directory}/{inside}")


def _delegated(directory: str, controllers: set[str], parent: str) -> str:
    """The nearest directory from `directory` up in which groups with `controllers` may be made (version 2).

    Groups with limits and processes do not go together in one directory (cgroup-v2.rst, No Internal Process
    Constraint), so it is rarely the process's own.
    """
    if parent:
        Path(directory).mkdir(parents=True, exist_ok=True)
    place = directory
    while os.path.exists(f"{place}/cgroup.controllers"):
        missing = controllers - set(_read(f"{place}/cgroup.subtree_control").split())
        if missing and os.access(f"{place}/cgroup.subtree_control", os.W_OK):
            with suppress(OSError):
                Path(f"{place}/cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in sorted(missing)))
                missing = set()
        if not missing and os.access(place, os.W_OK):
            return place
        if parent:
            break
        place = os.path.dirname(place)
    raise HostError(
        f"steps cannot be limited here: this process may make no control group with {', '.join(sorted(controllers))}",
        hint="run as root, or have systemd delegate a group: systemd-run --user --scope -p Delegate=yes pybuild …",
    )


@contextmanager
def _made(above: str, controller: str) -> Iterator[str]:
    """A new directory in `above`, locked; those that were left behind beside it are removed."""
    parent_is_new = not os.path.exists(above)
    try:
        Path(above).mkdir(parents=True, exist_ok=True)
        _sweep(above)
        fd, path = _locked(above)
    except OSError as error:
        raise HostError(
            f"steps cannot be limited here: no {controller} group can be made in {above}: {error.strerror}",
            hint="run as root, or have the group delegated to you; or leave it away",
        ) from error
    try:
        yield path
    finally:
        _remove(path)
        os.close(fd)
        if parent_is_new:
            with suppress(OSError):  # others may be in it by now
                os.rmdir(above)


def _locked(above: str) -> tuple[int, str]:
    while True:
        path = f"{above}/{_PREFIX}{os.urandom(8).hex()}"
        os.mkdir(path, 0o755)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # taken for an abandoned one in the instant before it was locked
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.path.exists(path):
            return fd, path
        os.close(fd)


def _sweep(above: str) -> None:
    for name in os.listdir(above):
        if not name.startswith(_PREFIX):
            continue
        with suppress(OSError):
            fd = os.open(f"{above}/{name}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.rmdir(f"{above}/{name}")
            finally:
                os.close(fd)


def _remove(path: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            os.rmdir(path)
            return
        except FileNotFoundError:
            return
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                return  # the next one that makes a group here sweeps it
            time.sleep(0.002)


def _limit(directory: str, controller: str, files: tuple[tuple[str, str], ...]) -> None:
    for name, wanted in files:
        path = f"{directory}/{name}"
        value = wanted
        try:
            if controller == "cpuset":
                above = _inherited(os.path.dirname(directory), name)
                value = wanted or above
            Path(path).write_text(value)
        except OSError as error:
            if name in _OPTIONAL and isinstance(error, FileNotFoundError | PermissionError):
                continue
            raise HostError(f"the kernel refuses {controller} limit {value}: {error.strerror} ({path})") from error


def _inherited(directory: str, name: str) -> str:
    """The set that groups in `directory` have unless told otherwise: in version 1 they begin with none (cpuset(7)).

    So do those that were made on the way, which get theirs here.
    """
    path = f"{directory}/{name}"
    value = _read(path).strip()
    if not value and os.path.exists(path) and os.path.exists(f"{directory}/tasks"):
        value = _inherited(os.path.dirname(directory), name)
        Path(path).write_text(value)
    return value


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _number(text: str) -> int:
    return int(text) if text.strip().isdigit() else 0


def _field(text: str, name: str) -> int:
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return _number(value)
    return 0
