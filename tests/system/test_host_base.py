"""`import --from-host`: a base of this machine's programs with what they need, found without running anything."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import elf
from tests.support.program import Pybuild
from tests.support.rootfs import BUSYBOX


def take(pybuild: Pybuild, *programs: str | Path) -> None:
    pybuild("import", "--from-host", ",".join(map(str, programs)), "base")


def run(pybuild: Pybuild, *command: str | Path) -> tuple[int, str]:
    """The status and output of a command of the base."""
    done = pybuild.try_("run", "--rm", "base", *map(str, command))
    return done.returncode, done.stdout + done.stderr


def paths(pybuild: Pybuild) -> set[str]:
    """The paths of the base, by its flat tar."""
    pybuild.build("FROM base\n", "-o", "type=tar,dest=tree.tar").ok()
    listing = subprocess.run(["tar", "tf", pybuild.work / "tree.tar"], capture_output=True, text=True, check=True)
    return {f"/{name.rstrip('/')}" for name in listing.stdout.splitlines()}


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """What a program that is run would leave."""
    return tmp_path / "mark"


# --- real programs -------------------------------------------------------------------------------


def test_programs_run_with_their_libraries(pybuild: Pybuild) -> None:
    take(pybuild, "sh", "ls", "grep", "sort", "find", "stat", "id", "readlink")
    assert {p for p in paths(pybuild) if p.startswith("/etc/")} == {"/etc/passwd", "/etc/group"}
    assert run(pybuild, "id") == (0, "uid=0(root) gid=0(root) groups=0(root)\n")
    assert run(pybuild, "grep", "-cP", "^no\\w+:", "/etc/passwd") == (0, "1\n")
    assert run(pybuild, "sh", "-c", "find /etc/passwd /etc/group | sort; ls -d /tmp; echo $PATH") == (
        0, "/etc/group\n/etc/passwd\n/tmp\n/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
    )  # fmt: skip
    assert run(pybuild, "stat", "-c", "%a %u %g", "/tmp", "/root") == (0, "1777 0 0\n755 0 0\n")
    for link in ("/bin", "/lib", "/sbin"):
        if os.path.islink(link):
            assert run(pybuild, "readlink", link) == (0, os.readlink(link) + "\n")


def test_the_image_says_how_it_was_made(pybuild: Pybuild) -> None:
    take(pybuild, "sh")
    (found,) = json.loads(pybuild("inspect", "base"))
    assert found["Config"]["Cmd"] == ["sh"]
    assert pybuild("run", "--rm", "-i", "base", input=b"echo from the default command") == "from the default command\n"
    (row,) = json.loads(pybuild("history", "--format", "json", "base"))
    assert row["created_by"] == "pybuild import --from-host sh"


def test_the_same_programs_are_the_same_layer(pybuild: Pybuild) -> None:
    pybuild("import", "--from-host", "sh,cat", "one")
    pybuild("import", "--from-host", "cat,sh,cat", "two")
    one, two = json.loads(pybuild("inspect", "one", "two"))
    assert one["RootFS"] == two["RootFS"]


def test_an_ordinary_users_base(as_user: Pybuild) -> None:
    as_user("import", "--from-host", "sh,id", "base")
    assert as_user("run", "--rm", "base", "id", "-u") == "0\n"
    locked = as_user.work / "locked"
    shutil.copy(BUSYBOX, locked)
    locked.chmod(0o711)
    done = as_user.try_("import", "--from-host", str(locked), "other")
    if os.geteuid() == 0:  # else the user owns the file, and may read what it may not
        assert (done.returncode, f"{locked} may not be read by you" in done.stderr) == (2, True), done.stderr


# --- scripts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shebang",
    ["#!/bin/sh", "#! /bin/sh -e", "#!/usr/bin/env sh", "#!/usr/bin/env -S A=1 sh -e", "#!{other}"],
)
def test_a_script_comes_with_its_interpreter(pybuild: Pybuild, shebang: str) -> None:
    other = pybuild.file("other", "#!/bin/sh\n. $1\n", 0o755)
    script = pybuild.file("script", f"{shebang.format(other=other)}\necho said $0\n", 0o755)
    take(pybuild, script)
    status, out = run(pybuild, script)
    assert status == 0, out
    assert out.startswith("said ")
    assert "/bin/sh" in {p.removeprefix("/usr") for p in paths(pybuild)} | {
        "/bin/sh" if run(pybuild, "sh")[0] == 0 else ""
    }


def test_nothing_is_run(pybuild: Pybuild, mark: Path) -> None:
    """Neither a program nor what it names as interpreter or loader."""
    script = pybuild.file("script", f"#!/bin/sh\n: > {mark}\n", 0o755)
    by_script = pybuild.file("by-script", f"#!{script}\n", 0o755)
    loaded = elf.write(pybuild.work / "loaded", "libone.so", runpath="$ORIGIN", interpreter=str(script))
    elf.write(pybuild.work / "libone.so")
    take(pybuild, script, by_script, loaded)
    assert not mark.exists()
    assert {str(pybuild.work / name) for name in ("script", "by-script", "loaded", "libone.so")} <= paths(pybuild)
    run(pybuild, script)
    assert not mark.exists(), "a container cannot write here"
    subprocess.run([script], check=True)
    assert mark.exists(), "it would have left its mark"


# --- how libraries are found: each program here runs on this machine, so it must run in the image ---------------------


def program(path: Path, *needed: str, **paths: str) -> Path:
    """A program that needs libraries, libc too as every real one."""
    return elf.write(path, *needed, "libc.so.6", interpreter=elf.loader(), **paths)


def check(pybuild: Pybuild, program: Path) -> None:
    """A program of tests.support.elf runs here, and in an image that has it alone."""
    assert subprocess.run([program], check=False).returncode == 7
    take(pybuild, program)
    assert run(pybuild, program) == (7, "")


@pytest.mark.parametrize("search", ["{lib}", "$ORIGIN/../lib", "${{ORIGIN}}/../lib", "/nowhere:{lib}/"])
@pytest.mark.parametrize("kind", ["runpath", "rpath"])
def test_libraries_are_found_by_the_programs_own_path(pybuild: Pybuild, kind: str, search: str) -> None:
    lib = pybuild.work / "lib"
    elf.write(lib / "libone.so")
    own = {kind: search.format(lib=lib)}
    check(
        pybuild, elf.write(pybuild.work / "bin" / "program", "libone.so", "libc.so.6", interpreter=elf.loader(), **own)
    )
    assert str(lib / "libone.so") in paths(pybuild)


def test_a_library_has_a_path_of_its_own(pybuild: Pybuild) -> None:
    top = pybuild.work
    elf.write(top / "far" / "libtwo.so")
    elf.write(top / "lib" / "libone.so", "libtwo.so", runpath="$ORIGIN/../far")
    check(pybuild, program(top / "program", "libone.so", runpath="$ORIGIN/lib"))


def test_a_programs_rpath_is_its_libraries_too(pybuild: Pybuild) -> None:
    """As ld.so(8) has it for DT_RPATH, and not for DT_RUNPATH."""
    top = pybuild.work
    elf.write(top / "lib" / "libtwo.so")
    elf.write(top / "lib" / "libone.so", "libtwo.so")
    rpath = program(top / "rpath", "libone.so", rpath="$ORIGIN/lib")
    check(pybuild, rpath)
    runpath = program(top / "runpath", "libone.so", runpath="$ORIGIN/lib")
    assert subprocess.run([runpath], capture_output=True, check=False).returncode == 127
    done = pybuild.try_("import", "--from-host", str(runpath), "other")
    assert done.returncode == 4
    assert f"{top}/lib/libone.so needs the library libtwo.so, which is not on this machine" in done.stderr


def test_a_library_named_by_its_path(pybuild: Pybuild) -> None:
    library = elf.write(pybuild.work / "some where" / "libone.so")
    check(pybuild, program(pybuild.work / "program", str(library)))


def test_libraries_of_other_machines_are_passed_over(pybuild: Pybuild) -> None:
    top = pybuild.work
    elf.write(top / "other" / "libone.so", machine=elf.OTHER_MACHINE)
    elf.write(top / "own" / "libone.so")
    check(pybuild, program(top / "program", "libone.so", runpath="$ORIGIN/other:$ORIGIN/own"))
    assert str(top / "other" / "libone.so") not in paths(pybuild)


def test_libraries_that_need_each_other(pybuild: Pybuild) -> None:
    top = pybuild.work
    elf.write(top / "libone.so", "libtwo.so", runpath="$ORIGIN")
    elf.write(top / "libtwo.so", "libone.so", runpath="$ORIGIN")
    check(pybuild, program(top / "program", "libone.so", runpath="$ORIGIN"))


def test_symlinks_on_the_way_are_kept(pybuild: Pybuild) -> None:
    top = pybuild.work
    elf.write(top / "v1" / "libone.so.1.0")
    (top / "v1" / "libone.so").symlink_to("libone.so.1.0")
    (top / "current").symlink_to("v1")
    elf.write(
        top / "real" / "program", "libone.so", "libc.so.6", runpath=str(top / "current"), interpreter=elf.loader()
    )
    (top / "absolute").symlink_to(top / "real")
    (top / "called").symlink_to("absolute/program")
    check(pybuild, top / "called")
    found = paths(pybuild)
    for name in ("called", "absolute", "current", "v1/libone.so", "v1/libone.so.1.0", "real/program"):
        assert str(top / name) in found


def test_a_program_without_section_headers(pybuild: Pybuild) -> None:
    """The loader looks at segments alone."""
    stripped = elf.without_sections(Path(shutil.which("grep") or ""), pybuild.work / "stripped")
    take(pybuild, stripped)
    assert run(pybuild, stripped, "-c", "root", "/etc/group") == (0, "1\n")


def test_a_static_program_comes_alone(pybuild: Pybuild) -> None:
    busybox = pybuild.work / "busybox"
    shutil.copy(BUSYBOX, busybox)
    busybox.chmod(0o4755)
    take(pybuild, busybox)
    assert run(pybuild, busybox, "stat", "-c", "%a", busybox) == (0, "755\n"), "no set-user-ID bit is taken along"
    assert not [p for p in paths(pybuild) if ".so" in p]


def test_a_path_is_followed_as_the_kernel_does(pybuild: Pybuild) -> None:
    """`..` behind a symlink is the target's parent."""
    pybuild.file("real/sub/x", "")
    shutil.copy(BUSYBOX, pybuild.work / "real" / "busybox")
    (pybuild.work / "link").symlink_to("real/sub")
    take(pybuild, "./link/.././busybox")
    assert run(pybuild, pybuild.work / "real" / "busybox", "true") == (0, "")


# --- what cannot be taken ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("programs", "message"),
    [
        ("no-such-program", "no program no-such-program on this machine"),
        ("sh,no-such-program", "no program no-such-program on this machine"),
        ("/no/such/program", "no program /no/such/program on this machine"),
        ("/etc", "no program /etc on this machine"),
        ("{work}/script", "no program /no/such/interpreter on this machine"),
        ("{work}/lost", "{work}/lost needs the library libnowhere.so, which is not on this machine"),
        ("{work}/loop", "no program {work}/loop on this machine"),
        (",", "no program is named"),
    ],
)
def test_what_is_missing(pybuild: Pybuild, programs: str, message: str) -> None:
    pybuild.file("script", "#!/no/such/interpreter\n", 0o755)
    elf.write(pybuild.work / "lost", "libnowhere.so", interpreter=elf.loader())
    (pybuild.work / "loop").symlink_to("loop")
    done = pybuild.try_("import", "--from-host", programs.format(work=pybuild.work), "base")
    assert message.format(work=pybuild.work) in done.stderr
    assert done.returncode == (2 if programs == "," else 4)
    assert pybuild("images", "-q") == ""
    assert not list((pybuild.root / "tmp").iterdir())
