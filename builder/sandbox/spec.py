"""`StepSpec`: all that a step in the sandbox is, as plain data that can be printed, tested and sent."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

# What a step is called in BuildKit too: some programs write it into what they make.
HOSTNAME = "buildkitsandbox"


class Network(StrEnum):
    """`none` is a namespace with loopback only, `host` the host's.

    `default` is a namespace with a network of its own where this machine can make one, else the host's: see network/.
    """

    DEFAULT = "default"
    HOST = "host"
    NONE = "none"


class BindMount(Struct, frozen=True, tag=True):
    """A host path bound at `target` (absolute, inside the root). Symlinks of `target` stay inside.

    Devices in it are none to the step, unless it is a `device` itself that the user shows.
    """

    source: str
    target: str
    read_only: bool = False
    device: bool = False


class FileMount(Struct, frozen=True, tag=True):
    """A file with `content` shown at `target` for the step only (resolv.conf, a heredoc script, a secret).

    It is in memory alone: no disk ever has it.
    """

    target: str
    content: bytes
    mode: int = 0o644
    read_only: bool = False
    uid: int = 0
    gid: int = 0


class TmpfsMount(Struct, frozen=True, tag=True):
    """An empty tmpfs at `target`; `size` in bytes, 0 for the kernel's default.

    It has the mode of the directory it covers, 1777 where that had to be made.
    """

    target: str
    size: int = 0


Mount = BindMount | FileMount | TmpfsMount


class Ulimit(Struct, frozen=True):
    """A resource limit of each process, by its name without RLIMIT_ (getrlimit(2)); -1 is no limit."""

    name: str
    soft: int
    hard: int


class Resources(Struct, frozen=True):
    """What a step may use; 0 (of `memory_swap` too) is no limit of its own.

    `memory` and `memory_swap` in bytes, the latter both together, twice the memory when 0, -1 for any; `cpus` in
    processors, or of each `cpu_period` a `cpu_quota`, in microseconds; `cpu_shares` against other groups, of which
    each has 1024 unless told otherwise; `cpuset_cpus` and `cpuset_mems` are lists as in cpuset(7), of processors and of
    memory nodes; `pids` in processes and threads; `parent` is the control group to make the step's in. `shm_size` in
    bytes. `oom_score_adj` as in proc(5); None: the caller's, but not below 0.
    """

    memory: int = 0
    memory_swap: int = 0
    cpus: float = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    pids: int = 0
    parent: str = ""
    ulimits: tuple[Ulimit, ...] = ()
    shm_size: int = 64 << 20
    oom_score_adj: int | None = None

    @property
    def grouped(self) -> bool:
        """Whether it takes a control group to limit a step so."""
        processors = self.cpus or self.cpu_shares or self.cpu_period or self.cpu_quota
        return bool(self.memory or self.pids or processors or self.cpuset_cpus or self.cpuset_mems)


class Names(Struct, frozen=True):
    """How names are found, other than on this machine: more lines of /etc/hosts (name, address), and name servers,
    search list and options of /etc/resolv.conf, each as on this machine when empty. `no_hosts`: /etc/hosts is that of
    the root.
    """

    hosts: tuple[tuple[str, str], ...] = ()
    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    no_hosts: bool = False


class Namespace(Struct, frozen=True):
    """A namespace that another process holds: where it is opened, and the inode it must be then."""

    path: str
    inode: int


class StepSpec(Struct, frozen=True):
    """What to run and what it sees.

    `argv[0]` is looked up in the PATH of `env`, inside the root. `user` is `name|uid[:group|gid]`,
    resolved in the root's own /etc/passwd and /etc/group; empty is 0:0. `cwd` must exist.
    `terminal` gives the step a pty of its own as its controlling terminal (its main end is handed
    out). Mounts are made in order, each in what those before it show. Targets that had to be made are
    taken away again after the step, their parents' times restored; only /dev, /proc and /sys stay.
    `insecure`: the step keeps every capability this process has, and nothing of /proc and /sys is hidden
    or write-protected, nor any system call refused. `unfiltered`: only the last. `no_new_privileges`: programs with
    setuid bits or file capabilities give none (prctl(2), PR_SET_NO_NEW_PRIVS). `dropped` are capabilities it can never
    have, by their names in sandbox/caps; not of an insecure one. `timeout` is how many seconds it may
    take, 0 any: then the command is sent SIGTERM, and all of it is killed when that was not enough.
    `platform`, as `linux/arm64`, is what the root's programs are made for; empty: this machine's.
    `names` is what `Networks.joined` (network/slots.py) makes files of, `namespace` the network namespace to join,
    which it sets with `default`.
    """

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    cwd: str = "/"
    user: str = ""
    hostname: str = HOSTNAME
    network: Network = Network.DEFAULT
    names: Names = Names()
    namespace: Namespace | None = None
    mounts: tuple[Mount, ...] = ()
    read_only_root: bool = False
    terminal: bool = False
    insecure: bool = False
    unfiltered: bool = False
    no_new_privileges: bool = False
    dropped: tuple[str, ...] = ()
    resources: Resources = Resources()
    timeout: float = 0
    platform: str = ""


class Shape(Struct, frozen=True):
    """What of a step its process 1 must know to make ready for it, before it is known what the step runs.

    `alone`: in a network namespace of its own with loopback only; `namespace` is one to join. `limited`: it has a
    control group to enter. `filtered`: its command may be put under the filter before all else, for which it needs a
    privilege.
    """

    alone: bool = False
    namespace: Namespace | None = None
    insecure: bool = False
    shm_size: int = Resources().shm_size
    limited: bool = False
    filtered: bool = True


def shape(spec: StepSpec) -> Shape:
    """The shape of a step."""
    wanted = spec.resources
    return Shape(
        spec.network is Network.NONE,
        spec.namespace,
        spec.insecure,
        wanted.shm_size,
        limited=wanted.grouped,
        filtered=not (spec.insecure or spec.unfiltered or spec.no_new_privileges),
    )


class Usage(Struct, frozen=True):
    """What a step used: wall seconds, CPU seconds, and peak bytes of memory.

    The latter of all its processes together when its memory was limited, else of the largest one.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int


class StepResult(Struct, frozen=True):
    """How a step ended: exit status (128+n when signal n killed it) and its usage.

    `memory_kills` and `refused_forks` say how often it met a limit of its own. One that `timed_out` has failed,
    whatever its status.
    """

    status: int
    usage: Usage
    memory_kills: int = 0
    refused_forks: int = 0
    timed_out: bool = False
