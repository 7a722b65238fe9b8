"""Seccomp filters: built by libseccomp, kept as plain BPF, loaded into the calling process (seccomp(2)).

libseccomp is called through ctypes: seven functions, and its own Python bindings come with no package index.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Sequence

from msgspec import Struct

from builder.errors import HostError
from builder.linux.syscalls import prctl

# seccomp.h of libseccomp
ALLOW = 0x7FFF0000
EQUAL, MASKED_EQUAL = 4, 7
_UNKNOWN = -1
_OPTIMIZE, _BINARY_TREE = 8, 2

# linux/audit.h: the architectures a kernel runs programs of, its own first
_X86_64, _X86, _X32 = 0xC000003E, 0x40000003, 0x4000003E
_AARCH64, _ARM = 0xC00000B7, 0x40000028
_OWN = {"x86_64": (_X86_64, _X86, _X32), "aarch64": (_AARCH64, _ARM)}
_X32_BIT = 0x40000000

# linux/bpf_common.h, linux/seccomp.h; the offsets are those of struct seccomp_data
_INSTRUCTION = struct.Struct("=HBBI")
_LOAD, _JUMP_EQUAL, _JUMP_GREATER, _RETURN = 0x20, 0x15, 0x25, 0x06
_AT_NUMBER, _AT_ARCHITECTURE = 0, 4
_RET_ERRNO = 0x00050000
_MOST_INSTRUCTIONS = 4096
_PR_SET_SECCOMP, _MODE_FILTER = 22, 2


def _loaded() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return None
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_version.restype = ctypes.POINTER(ctypes.c_uint * 3)
    return library


_library = _loaded()


class Condition(Struct, frozen=True):
    """A comparison of a call's argument number `argument` with `value`; with `mask`, of what it leaves."""

    argument: int
    value: int
    mask: int | None = None


class Rule(Struct, frozen=True):
    """What the calls `names` give if all `conditions` hold: `error` is the errno, 0 lets them through."""

    names: tuple[str, ...]
    conditions: tuple[Condition, ...] = ()
    error: int = 0


class _Comparison(ctypes.Structure):
    _fields_ = (  # type: ignore[mutable-override]
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))  # type: ignore[mutable-override]


def version() -> str:
    """The version of libseccomp. Raises HostError when there is none."""
    return ".".join(str(n) for n in _needed().seccomp_version().contents)


def build(rules: Sequence[Rule]) -> bytes:
    """A filter for this machine's architectures; what no rule lets through fails with EPERM.

    Names libseccomp does not know are left out, and calls younger than all that is named fail with ENOSYS, so that
    programs fall back to older ones (as runc does). Raises HostError without libseccomp.
    """
    library = _needed()
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_RET_ERRNO | errno.EPERM)))
    try:
        native = int(library.seccomp_arch_native()) & 0xFFFFFFFF
        architectures = _OWN.get(os.uname().machine, (native,))
        for architecture in architectures[1:]:
            _succeed(library.seccomp_arch_add(context, ctypes.c_uint32(architecture)))
        library.seccomp_attr_set(context, _OPTIMIZE, ctypes.c_uint32(_BINARY_TREE))  # before 2.5 there is no such
        for rule in rules:
            _add(context, rule)
        names = [name for rule in rules for name in rule.names]
        return _unknown_calls({a: _youngest(a, names) for a in architectures}) + _exported(context)
    finally:
        library.seccomp_release(context)


def load(program: bytes) -> None:
    """Put this process, and all it will become, under `program`. Raises OSError.

    It needs CAP_SYS_ADMIN in its user namespace, or no_new_privs. Filters stack: the stricter answer counts.
    """
    kept = ctypes.create_string_buffer(program, len(program))
    described = _Program(len(program) // _INSTRUCTION.size, ctypes.addressof(kept))
    prctl(_PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(described))


def _needed() -> ctypes.CDLL:
    if _library is None:
        raise HostError(
            "libseccomp is not installed, and no step runs without its filter",
            hint="install it: apt-get install libseccomp2 (Fedora, Alpine: libseccomp)",
        )
    return _library


def _succeed(result: int) -> None:
    if result < 0:
        raise OSError(-result, f"libseccomp: {os.strerror(-result)}")


def _add(context: ctypes.c_void_p, rule: Rule) -> None:
    action = ctypes.c_uint32(_RET_ERRNO | rule.error if rule.error else ALLOW)
    conditions = (_Comparison * len(rule.conditions))(*map(_comparison, rule.conditions))
    for name in rule.names:
        number = _needed().seccomp_syscall_resolve_name(name.encode())
        if number != _UNKNOWN:
            added = _needed().seccomp_rule_add_array(context, action, number, len(conditions), conditions)
            if added != -errno.EDOM:  # a call that none of the architectures has
                _succeed(added)


def _comparison(condition: Condition) -> _Comparison:
    if condition.mask is None:
        return _Comparison(condition.argument, EQUAL, condition.value, 0)
    return _Comparison(condition.argument, MASKED_EQUAL, condition.mask, condition.value)


def _exported(context: ctypes.c_void_p) -> bytes:
    fd = os.memfd_create("filter", os.MFD_CLOEXEC)
    try:
        _succeed(_needed().seccomp_export_bpf(context, fd))
        return os.pread(fd, _MOST_INSTRUCTIONS * _INSTRUCTION.size, 0)
    finally:
        os.close(fd)


def _youngest(architecture: int, names: Sequence[str]) -> int:
    """The highest number among the calls `names`: numbers are given in the order calls are added to the kernel."""
    resolve = _needed().seccomp_syscall_resolve_name_arch
    return max((int(resolve(ctypes.c_uint32(architecture), name.encode())) for name in names), default=0)


def _unknown_calls(youngest: dict[int, int]) -> bytes:
    """The beginning of a filter: ENOSYS for numbers above those given by architecture; others go on below it."""
    # The kernel has one architecture for x86_64 and x32, whose numbers have a bit set, and are above all others.
    tests = [(a, n) for a, n in youngest.items() if a != _X32]
    checks = b""
    for architecture, number in tests:
        own = _jump(_JUMP_GREATER, number, 0, 1) + _refused()
        if architecture == _X86_64 and _X32 in youngest:
            own = (
                _jump(_JUMP_GREATER, _X32_BIT - 1, 2, 0)
                + own
                + _jump(_JUMP_GREATER, _X32_BIT | (youngest[_X32] & ~_X32_BIT), 0, 1)
                + _refused()
            )
        # What is let through here falls to the next test, whose architecture it has not, and so to the end.
        size = len(own) // _INSTRUCTION.size + 1
        checks += _load(_AT_ARCHITECTURE) + _jump(_JUMP_EQUAL, architecture, 0, size) + _load(_AT_NUMBER) + own
    return checks


def _load(offset: int) -> bytes:
    return _INSTRUCTION.pack(_LOAD, 0, 0, offset)


def _jump(code: int, value: int, if_true: int, if_false: int) -> bytes:
    return _INSTRUCTION.pack(code, if_true, if_false, value)


def _refused() -> bytes:
    return _INSTRUCTION.pack(_RETURN, 0, 0, _RET_ERRNO | errno.ENOSYS)
