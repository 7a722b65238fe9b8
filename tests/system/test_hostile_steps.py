"""Steps that misbehave: the build ends with a right result or a clear error, and the host does not notice.

What is dangerous runs in control groups of the tests' own, whose limits hold even if pybuild's fail.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.cage import caged
from tests.support.program import Built, Pybuild
from tests.support.user import without_ids
from tests.support.waiting import PATIENCE, wait_for

MB = 1_000_000


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("hostile")
    pybuild = Pybuild(directory / "store", directory)
    pybuild.base()
    return pybuild.root


@pytest.fixture
def based(store: Path, tmp_path: Path) -> Iterator[Pybuild]:
    """The program on a store with a base of busybox; whatever a step did, the next build works and nothing is left."""
    pybuild = replace(Pybuild(store, tmp_path), env={"PYBUILD_TEST": str(tmp_path)})
    yield pybuild
    wait_for(lambda: not alive(pybuild), lambda: "processes are left")
    assert str(store) not in Path("/proc/self/mountinfo").read_text()
    pybuild.build(f"FROM base\nRUN echo {tmp_path}\n").ok()
    assert not list((store / "tmp").iterdir())


def alive(pybuild: Pybuild) -> list[int]:
    """The processes whose environment is of this test's program: its own, and those of its sandboxes' init."""
    mark = f"PYBUILD_TEST={pybuild.work}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def run_step(pybuild: Pybuild, script: str, *options: str) -> Built:
    """Build one RUN of a shell script, as image `app`."""
    return pybuild.build(f"FROM base\nRUN <<END\n{script}\nEND\n", "-t", "app", "--no-cache", *options)


# --- too much of everything ------------------------------------------------------------------------


def test_forking_without_bound(based: Pybuild) -> None:
    """Stopped by a limit from outside, it ends when its first process does."""
    with caged(based, processes=150) as limited:
        built = run_step(limited, "f() { f & f & }; f; sleep 1; echo over")
    assert built.status in (0, 1), built.err


def test_eating_all_memory(based: Pybuild) -> None:
    with caged(based, memory=200 << 20) as limited:
        built = run_step(limited, "awk 'BEGIN { s = \"x\"; while (1) s = s s }'")
    assert built.status == 1
    assert "is there enough memory?" in built.err


def test_very_much_output(based: Pybuild) -> None:
    """50 MB in lines, nearly a million: little of it is kept in memory."""
    peak, built = measured(
        based, "yes 'a line of output of a usual length, as compilers print them' | head -c 50000000"
    )
    assert built.status == 0
    print(f"peak {peak >> 20} MB")
    assert peak < 150 << 20


def test_much_output_in_one_line(based: Pybuild) -> None:
    """300 MB without a newline."""
    peak, built = measured(based, "head -c 300000000 /dev/zero | tr '\\0' x")
    assert built.status == 0
    print(f"peak {peak >> 20} MB")
    assert peak < 150 << 20


# Started by a small process: a program inherits the peak of the one it was forked from (execve(2)).
_MEASURING = """
import os, sys
pid = os.spawnv(os.P_NOWAIT, sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def measured(pybuild: Pybuild, script: str) -> tuple[int, Built]:
    """Build a step; also gives the peak memory in bytes of the largest process of pybuild."""
    pybuild.file("Buildfile", f"FROM base\nRUN {script}\n")
    command = pybuild.command("build", "--progress", "plain", "--no-cache", ".")
    log = pybuild.work / "log"
    with log.open("wb") as stream:
        done = subprocess.run(
            [sys.executable, "-c", _MEASURING, *command],
            cwd=pybuild.work,
            env={**os.environ, **pybuild.env},
            stdout=subprocess.PIPE,
            stderr=stream,
            check=False,
        )
    print(f"{log.stat().st_size / MB:.0f} MB shown")
    return int(done.stdout.split()[-1]) * 1024, Built(done.returncode, "", "")


def test_output_that_is_no_text(based: Pybuild) -> None:
    built = run_step(based, "head -c 1000000 /dev/urandom; printf '\\033[2J\\377\\376\\n'; echo; echo after").ok()
    assert "after" in built.err


# --- not ending as it should -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [
        "trap '' TERM INT HUP QUIT; echo ready; while :; do sleep 1; done",
        "echo ready; exec >&- 2>&-; sleep 86400",
        "echo ready; kill -STOP $$",
        "(trap '' TERM; setsid sleep 86400 &) ; echo ready; exec sleep 86400",
    ],
    ids=["ignores", "silent", "stopped", "daemon"],
)
def test_a_step_that_will_not_end_is_ended(based: Pybuild, script: str) -> None:
    based.file("Buildfile", f"FROM base\nRUN <<END\n{script}\nEND\n")
    process = based.start("build", "--progress", "plain", "--no-cache", ".")
    assert process.stderr is not None
    while b" ready" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143, err


def test_a_step_that_closes_its_output_is_waited_for(based: Pybuild) -> None:
    run_step(based, "exec >&- 2>&-; sleep 0.5; touch /done").ok()
    assert based.shell("app", "ls /done") == "/done\n"


def test_a_daemon_ends_with_its_step(based: Pybuild) -> None:
    run_step(based, "(setsid sh -c 'while :; do echo x; sleep 0.1; done' &) ; echo started").ok()


def test_killing_all_processes(based: Pybuild) -> None:
    built = run_step(based, "kill -9 -1; kill -9 1; kill -TERM 1; echo survived")
    assert built.status in (0, 1), built.err


# --- strange trees ---------------------------------------------------------------------------------


DEEP = """#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
int main(int count, char **words) {
    int wrong = count != 2;
    for (int i = wrong ? 0 : atoi(words[1]); i > 0 && !wrong; i--)
        wrong = mkdir("d", 0755) || chdir("d");
    return wrong;
}
"""


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A program that makes directories in directories, as many as it is told."""
    directory = tmp_path_factory.mktemp("deep")
    (directory / "deep.c").write_text(DEEP)
    subprocess.run(["gcc", "-static", "-O1", "-o", directory / "deep", directory / "deep.c"], check=True)
    return (directory / "deep").read_bytes()


def test_a_directory_deeper_than_any_path(based: Pybuild, deep: bytes) -> None:
    """4,000 levels: what no path can name cannot be in a layer, and is said to be too deep."""
    based.file("deep", deep, 0o755)
    built = based.build("FROM base\nCOPY deep /\nRUN cd /tmp && /deep 4000\n")
    assert built.status == 5
    assert "a file lies too deep" in built.err


@pytest.fixture
def removed() -> Iterator[Path]:
    """A directory that is removed by a program that removes deep trees, which Python's own way and pytest do not."""
    path = Path(tempfile.mkdtemp(prefix="pybuild-deep-"))
    yield path
    subprocess.run(["rm", "-r", path], check=True)


def test_a_directory_deeper_than_pythons_stack(removed: Path, deep: bytes) -> None:
    pybuild = Pybuild(removed / "store", removed)
    pybuild.base()
    pybuild.file("deep", deep, 0o755)
    subprocess.run([removed / "deep", "1050"], cwd=removed, check=True)
    text = "FROM base AS made\nCOPY deep /\nRUN /deep 1050\nFROM base\nCOPY --from=made /d /stage\nCOPY d /context\n"
    pybuild.build(text, "-o", "type=tar,dest=out.tar").ok()
    with tarfile.open(removed / "out.tar") as archive:
        deepest = [
            max(name.count("/") for name in archive.getnames() if name.startswith(top)) for top in ("stage", "c")
        ]
    assert deepest == [1049, 1049]


def test_names_that_are_no_text(based: Pybuild) -> None:
    names = (b"a\nb", b"\xff\xfe", b" ", b"-rf", b"\x1b[31m", b"*")
    script = "cd /tmp; touch \"$(printf 'a\\nb')\" \"$(printf '\\377\\376')\" ' ' ./-rf \"$(printf '\\033[31m')\" '*'"
    run_step(based, script, "-o", "type=local,dest=made").ok()
    assert sorted(os.listdir(os.fsencode(based.work / "made/tmp"))) == sorted(names)
    based.build("FROM base\nCOPY --from=app /tmp /one\nCOPY made/tmp /two\n", "-o", "type=local,dest=copied").ok()
    for directory in ("one", "two"):
        assert sorted(os.listdir(os.fsencode(based.work / "copied" / directory))) == sorted(names)


def test_removing_all(based: Pybuild) -> None:
    """What can be removed is gone in the next step; what the sandbox mounted is still there, and the host is."""
    run_step(based, "rm -rf /* 2>/dev/null; true").ok()
    built = based.build('FROM app\nRUN ["/bin/sh", "-c", "true"]\n')
    assert built.status == 1
    assert "No such file" in built.err
    assert Path("/bin/sh").exists()


def test_replacing_what_the_sandbox_mounts(based: Pybuild) -> None:
    for path in ("/proc", "/dev", "/sys", "/etc/hosts"):
        built = run_step(based, f"mv {path} /moved || rm -rf {path}; ln -sT /tmp {path} && echo re''placed")
        assert "busy" in built.err
        assert "replaced" not in built.err


def test_a_mount_that_is_left(based: Pybuild) -> None:
    mounts = "mount -t tmpfs none /m && touch /m/x && mount -t proc proc /tmp && mount --bind / /home"
    text = f"FROM base\nRUN --security=insecure mkdir /m && {mounts}\n"
    based.build(text, "-t", "app", "--allow", "security.insecure").ok()
    assert based.shell("app", "ls /m /tmp /home") == "/home:\n\n/m:\n\n/tmp:\n"


# --- the one that answers for a step with one ID ---------------------------------------------------


def test_no_path_leads_the_supervisor_out(as_user: Pybuild, outside: Path) -> None:
    """What a step calls /proc/self is for the supervisor a directory of the host's /proc, above which is the host."""
    program = without_ids(as_user)
    program.base()
    doors = ("/proc/self/../..", "/proc/thread-self/../../../..", "/dev/fd/../../..", "/proc/self/fd/../../..")
    tries = ("mkdir {}/dir", "touch {}/file", "ln -s x {}/link", "mkfifo {}/pipe", "mknod {}/node c 1 3")
    script = "\n".join(line.format(f"{door}{outside}") for door in doors for line in tries)
    text = f"FROM base\nRUN <<END\n{script}\ntrue\nEND\nUSER 1000\nRUN <<END\n{script}\ntrue\nEND\n"
    program.build(text).ok()
    assert not list(outside.iterdir())


@pytest.fixture
def outside() -> Iterator[Path]:
    """A directory of the host everybody may write to."""
    with tempfile.TemporaryDirectory(prefix="pybuild-outside-", dir="/tmp") as name:
        Path(name).chmod(0o777)
        yield Path(name)
