"""The filter as the kernel runs it: Docker's profile, asked by a small interpreter of classic BPF (seccomp(2))."""

from __future__ import annotations

import errno
import os
import struct

import pytest

from builder.linux import seccomp as linux
from builder.sandbox import seccomp

X86_64, X86 = 0xC000003E, 0x40000003
ALLOW = 0x7FFF0000
LOAD, AND, JUMP, EQUAL, GREATER, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x54, 0x05, 0x15, 0x25, 0x35, 0x45, 0x06


def answer(program: bytes, number: int, *arguments: int, architecture: int = X86_64) -> int | str:
    """What the filter says to a call: the errno, or 0 for go on."""
    words = [*arguments, *[0] * (6 - len(arguments))]
    data = struct.pack("=iIQ6Q", number, architecture, 0, *words)
    instructions = list(struct.iter_unpack("=HBBI", program))
    at, register = 0, 0
    while True:
        code, if_true, if_false, value = instructions[at]
        at += 1
        if code == LOAD:
            (register,) = struct.unpack_from("=I", data, value)
        elif code == AND:
            register &= value
        elif code == JUMP:
            at += value
        elif code in (EQUAL, GREATER, AT_LEAST, ANY_BIT):
            holds = {
                EQUAL: register == value,
                GREATER: register > value,
                AT_LEAST: register >= value,
                ANY_BIT: bool(register & value),
            }[code]
            at += if_true if holds else if_false
        else:
            assert code == RETURN, f"instruction {code:#x}"
            if value == ALLOW:
                return 0
            return value & 0xFFFF if value & 0xFFFF0000 == 0x50000 else f"{value:#x}"


@pytest.fixture(scope="module")
def program() -> bytes:
    if os.uname().machine != "x86_64":
        pytest.fail("the numbers of these calls are x86_64's")
    return linux.build(seccomp.rules())


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ((0,), 0),  # read
        ((56, 17), 0),  # clone with SIGCHLD
        ((56, 0x10000011), errno.EPERM),  # clone(CLONE_NEWUSER)
        ((435,), errno.ENOSYS),  # clone3
        ((272, 0), errno.EPERM),  # unshare
        ((165,), errno.EPERM),  # mount
        ((425,), errno.EPERM),  # io_uring_setup
        ((323,), errno.EPERM),  # userfaultfd
        ((250,), errno.EPERM),  # keyctl
        ((321,), errno.EPERM),  # bpf
        ((161,), 0),  # chroot
        ((101,), 0),  # ptrace
        ((41, 1), 0),  # socket(AF_UNIX)
        ((41, 16), 0),  # socket(AF_NETLINK)
        ((41, 38), errno.EPERM),  # socket(AF_ALG)
        ((41, 40), errno.EPERM),  # socket(AF_VSOCK)
        ((135, 0xFFFFFFFF), 0),  # personality: asking
        ((135, 0x40000), errno.EPERM),  # personality(ADDR_NO_RANDOMIZE)
        ((400,), errno.EPERM),  # never given, below the youngest
        ((5000,), errno.ENOSYS),  # younger than the profile
        ((0x40000000 | 39,), 0),  # x32: getpid
        ((0x40000000 | 5000,), errno.ENOSYS),
    ],
    ids=str,
)
def test_docker_s_profile(program: bytes, call: tuple[int, ...], expected: int) -> None:
    assert answer(program, *call) == expected


def test_programs_of_32_bits_are_filtered_too(program: bytes) -> None:
    assert answer(program, 20, architecture=X86) == 0  # getpid
    assert answer(program, 21, architecture=X86) == errno.EPERM  # mount
    assert answer(program, 5000, architecture=X86) == errno.ENOSYS


def test_other_architectures_are_killed(program: bytes) -> None:
    assert answer(program, 0, architecture=0xC00000B7) == "0x0"
