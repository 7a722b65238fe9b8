"""Numbers of the system calls that are emulated, and layouts they share with programs, for each machine.

Sources: arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h, and struct stat of both.
A machine without a call (aarch64 has no open) has no number for it.
"""

from __future__ import annotations

import os
from functools import cache

from msgspec import Struct

_X86_64 = """
open 2 stat 4 fstat 5 lstat 6 execve 59 mkdir 83 creat 85 symlink 88 chown 92 fchown 93 lchown 94 getrlimit 97
getuid 102 getgid 104 setuid 105 setgid 106 geteuid 107 getegid 108 setreuid 113 setregid 114 getgroups 115
setgroups 116 setresuid 117 getresuid 118 setresgid 119 getresgid 120 setfsuid 122 setfsgid 123 mknod 133 prctl 157
setrlimit 160 chroot 161 openat 257 mkdirat 258 mknodat 259 fchownat 260 newfstatat 262 symlinkat 266 prlimit64 302
seccomp 317 execveat 322 statx 332 openat2 437
"""
_AARCH64 = """
mknodat 33 mkdirat 34 symlinkat 36 chroot 51 fchownat 54 fchown 55 openat 56 newfstatat 79 fstat 80 setregid 143
setgid 144 setreuid 145 setuid 146 setresuid 147 getresuid 148 setresgid 149 getresgid 150 setfsuid 151 setfsgid 152
getgroups 158 setgroups 159 getrlimit 163 setrlimit 164 prctl 167 getuid 174 geteuid 175 getgid 176 getegid 177
execve 221 prlimit64 261 seccomp 277 execveat 281 statx 291 openat2 437
"""


class Machine(Struct, frozen=True):
    """What of a machine's interface the emulation needs.

    `architecture` is the AUDIT_ARCH_* of seccomp's data; `stat_size` and the offsets are of struct stat, in bytes.
    """

    architecture: int
    numbers: dict[str, int]
    stat_size: int
    stat_mode: int
    stat_uid: int
    stat_rdev: int


def _numbers(table: str) -> dict[str, int]:
    words = table.split()
    return {name: int(number) for name, number in zip(words[::2], words[1::2], strict=True)}


@cache
def machine(name: str = "") -> Machine:
    """The machine `name` (uname -m), or this one. KeyError for one that is not known."""
    return {
        "x86_64": Machine(0xC000003E, _numbers(_X86_64), 144, 24, 28, 40),
        "aarch64": Machine(0xC00000B7, _numbers(_AARCH64), 128, 16, 24, 32),
    }[name or os.uname().machine]
