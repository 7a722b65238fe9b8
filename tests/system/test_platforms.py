"""Other machines' programs: by QEMU where a handler is registered, or can be; a clear refusal where not.

What is registered is registered in a user namespace of the test's own: the machine stays as it is.
"""

from __future__ import annotations

import io
import json
import os
import platform
import re
import struct
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.program import Pybuild

ON_ARM = os.uname().machine == "aarch64"
OTHER, QEMU, UNAME = ("amd64", "x86_64", "x86_64") if ON_ARM else ("arm64", "aarch64", "aarch64")
PLATFORM = f"linux/{OTHER}"
# A program that ends with its own number of arguments less one: exit(argc - 1).
CODES = {
    # mov edi, [rsp]; dec edi; mov eax, 60; syscall
    "amd64": (62, bytes.fromhex("8b3c24 ffcf b83c000000 0f05")),
    # ldr x0, [sp]; sub x0, x0, #1; mov x8, #93; svc 0
    "arm64": (183, bytes.fromhex("e00340f9 000400d1 a80b80d2 010000d4")),
}
ONE_STEP = f'FROM --platform={PLATFORM} scratch\nCOPY program /\nRUN ["/program"]\n'


def program(architecture: str = OTHER) -> bytes:
    """A whole program of another machine in two hundred bytes."""
    machine, code = CODES[architecture]
    start, length = 0x400000, 120 + len(code)
    head = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 2, machine, 1, start + 120, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return head + struct.pack("<IIQQQQQQ", 1, 5, 0, start, start, length, length, 0x1000) + code


def in_namespace(pybuild: Pybuild, script: str) -> Pybuild:
    """The program as root of a user namespace that has binfmt_misc of its own, after `script`."""
    begin = f'mount -t binfmt_misc none /proc/sys/fs/binfmt_misc && {script} && exec "$@"'
    at = 5 if pybuild.prefix[0] == "setpriv" else 0
    namespace = ("unshare", "-Um", "--map-root-user", "--map-auto", "sh", "-c", begin, "sh")
    return replace(pybuild, prefix=(*pybuild.prefix[:at], *namespace, *pybuild.prefix[at:]))


@pytest.fixture
def rootless(as_user: Pybuild) -> Pybuild:
    as_user.file("program", program(), 0o755)
    return as_user


@pytest.fixture
def unregistered(rootless: Pybuild) -> Pybuild:
    return in_namespace(rootless, "true")


@pytest.fixture
def registered(rootless: Pybuild) -> Pybuild:
    """As the package qemu-user-static registers it, with the line that it brings."""
    line = f"/usr/lib/binfmt.d/qemu-{QEMU}.conf"
    return in_namespace(rootless, f"cat {line} > /proc/sys/fs/binfmt_misc/register")


@pytest.fixture(scope="module")
def busybox(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The busybox of Debian for the other machine; its package is unpacked, nothing of it is run."""
    release = platform.freedesktop_os_release()["VERSION_CODENAME"]
    tar = tmp_path_factory.mktemp("debian") / "root.tar"
    subprocess.run(
        ["mmdebstrap", "--variant=extract", f"--architectures={OTHER}", "--include=busybox-static", release, tar],
        check=True,
        capture_output=True,
        timeout=300,
    )
    with tarfile.open(fileobj=io.BytesIO(tar.read_bytes())) as archive:
        names = ("./bin/busybox", "./usr/bin/busybox")
        file = archive.extractfile(next(m for m in archive if m.name in names and m.isreg()))
        assert file is not None
        return file.read()


def test_without_a_handler_a_run_is_refused_with_the_fix(unregistered: Pybuild) -> None:
    built = unregistered.build(ONE_STEP)
    assert built.status == 7
    assert f"{PLATFORM} programs cannot run here: no handler of binfmt_misc is registered" in built.err
    assert "Buildfile:3" in built.err
    assert re.search(rf"echo ':pybuild-{QEMU}:M::\S+:/\S+/qemu-{QEMU}-static:POCF' > /proc/", built.err)


def test_the_line_of_the_fix_is_one_that_works(rootless: Pybuild, unregistered: Pybuild) -> None:
    hint = re.search(r"echo ':pybuild.* > \S+/register", unregistered.build(ONE_STEP).err)
    assert hint is not None
    in_namespace(rootless, hint[0]).build(ONE_STEP).ok()


def test_a_handler_that_is_registered_runs_programs(registered: Pybuild) -> None:
    assert 'RUN ["/program"]' in registered.build(ONE_STEP).ok().ran
    failed = registered.build(ONE_STEP.replace('["/program"]', '["/program", "one", "two"]'))
    assert (failed.status, "exit code: 2" in failed.err) == (1, True)


def test_a_handler_whose_emulator_the_root_must_have_counts_only_if_it_has_it(rootless: Pybuild) -> None:
    emulator = f"/usr/bin/qemu-{QEMU}-static"
    line = f"sed s,:/usr/libexec/.*,:{emulator}:, /usr/lib/binfmt.d/qemu-{QEMU}.conf"
    loose = in_namespace(rootless, f"{line} > /proc/sys/fs/binfmt_misc/register")
    built = loose.build(ONE_STEP)
    assert built.status == 7
    assert f"the handler 'qemu-{QEMU}' of binfmt_misc starts {emulator}, which is not in the step's root" in built.err
    loose.file("emulator", Path(emulator).read_bytes(), 0o755)
    loose.build(ONE_STEP.replace("COPY", f"COPY emulator {emulator}\nCOPY")).ok()


def test_an_image_of_another_machine_without_run_needs_no_handler(unregistered: Pybuild) -> None:
    unregistered.build("FROM scratch\nCOPY program /\nWORKDIR /w\n", "--platform", PLATFORM, "-t", "copied").ok()
    about = json.loads(unregistered("inspect", "copied"))[0]
    assert (about["Os"], about["Architecture"]) == ("linux", OTHER)


def test_a_cached_run_of_another_machine_needs_no_handler(registered: Pybuild, unregistered: Pybuild) -> None:
    registered.build(ONE_STEP).ok()
    assert any("RUN" in step for step in unregistered.build(ONE_STEP).ok().cached)


def test_a_stage_on_the_build_platform_runs_natively(unregistered: Pybuild) -> None:
    unregistered.base()
    buildfile = (
        "FROM --platform=$BUILDPLATFORM base AS compiler\nARG BUILDPLATFORM TARGETPLATFORM TARGETARCH\n"
        'RUN uname -m > /machine; echo "$BUILDPLATFORM-$TARGETPLATFORM-$TARGETARCH" > /platforms\n'
        "FROM scratch\nCOPY --from=compiler /machine /platforms /\n"
    )
    unregistered.build(buildfile, "--platform", PLATFORM, "-t", "cross", "-o", "type=local,dest=out").ok()
    out = unregistered.work / "out"
    own = "arm64" if ON_ARM else "amd64"
    assert (out / "machine").read_text() == f"{os.uname().machine}\n"
    assert (out / "platforms").read_text() == f"linux/{own}-{PLATFORM}-{OTHER}\n"


def test_containers_of_another_machine(registered: Pybuild, unregistered: Pybuild) -> None:
    registered.build('FROM scratch\nCOPY program /\nENTRYPOINT ["/program"]\n', "--platform", PLATFORM, "-t", "x").ok()
    assert registered.try_("run", "--rm", "x", "1", "2", "3").returncode == 3
    refused = unregistered.try_("run", "--rm", "x")
    assert refused.returncode == 125
    assert f"{PLATFORM} programs cannot run here" in refused.stderr


def test_a_program_of_another_machine_where_none_was_expected(unregistered: Pybuild) -> None:
    built = unregistered.build('FROM scratch\nCOPY program /\nRUN ["/program"]\n')
    assert built.status == 1
    assert f"exec: '/program': Exec format error: it is a program for {OTHER}, which nothing runs here" in built.err
    assert "exit code: 126" in built.err
    unregistered.file("program", "no program", 0o755)
    built = unregistered.build('FROM scratch\nCOPY program /\nRUN ["/program"]\n')
    assert "it is neither a program nor a script that begins with #!" in built.err


def test_a_build_for_several_platforms_runs_the_steps_of_each(rootless: Pybuild) -> None:
    own = "arm64" if ON_ARM else "amd64"
    rootless.file(f"program-{own}", program(own), 0o755)
    rootless.file(f"program-{OTHER}", program(), 0o755)
    buildfile = (
        'FROM scratch\nARG TARGETARCH\nCOPY program-$TARGETARCH /program\nRUN ["/program"]\nENTRYPOINT ["/program"]\n'
    )
    both = f"linux/{own},{PLATFORM}"
    built = rootless.build(buildfile, "--platform", both, "-t", "both").ok()
    for name in (own, OTHER):
        assert f' [linux/{name} 3/3] RUN ["/program"]' in built.err
    assert rootless.build(buildfile, "--platform", both).ok().ran == []
    for words, status in ((("both", "1"), 1), (("--platform", PLATFORM, "both", "1", "2"), 2)):
        assert rootless.try_("run", "--rm", *words).returncode == status
    failed = rootless.build(buildfile.replace('RUN ["/program"]', 'RUN ["/program", "x"]'), "--platform", both)
    assert failed.status == 1
    assert re.search(rf"\[linux/({own}|{OTHER}) 3/3\] RUN", failed.err)


def test_an_ordinary_user_needs_only_the_emulator(rootless: Pybuild) -> None:
    before = Path("/proc/sys/fs/binfmt_misc")
    names = sorted(os.listdir(before))
    rootless.build(ONE_STEP).ok()
    two = ONE_STEP.replace("scratch", "scratch AS one") + 'FROM one\nRUN ["/program"]\nRUN ["/program", "3"]\n'
    assert "exit code: 1" in rootless.build(two).err
    assert sorted(os.listdir(before)) == names


@pytest.mark.network
def test_a_root_of_debian_for_another_machine(rootless: Pybuild, registered: Pybuild, busybox: bytes) -> None:
    buildfile = (
        "FROM scratch\nCOPY busybox /bin/\n"
        'RUN ["/bin/busybox", "--install", "-s", "/bin"]\n'
        'RUN uname -m > /machine && echo "$(cat /machine)" | grep . && ln -s /bin/busybox /true && /true\n'
    )
    for pybuild in (rootless, registered):
        pybuild.file("busybox", busybox, 0o755)
        pybuild.build(buildfile, "--platform", PLATFORM, "-t", "debian").ok()
        assert pybuild.shell("debian", "uname -m; cat /machine").split() == [UNAME, UNAME]
        assert json.loads(pybuild("inspect", "debian"))[0]["Architecture"] == OTHER
