"""What is wrong gives one clear error and the right exit code; the store stays valid and the next build works."""

from __future__ import annotations

import os
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.program import Pybuild
from tests.support.rootfs import busybox_rootfs, directory, member, tar


@pytest.fixture
def based(pybuild: Pybuild) -> Pybuild:
    pybuild.base()
    return pybuild


def still_works(pybuild: Pybuild) -> None:
    """The store is a valid layout without leftovers, and a build on it goes well."""
    assert not list((pybuild.root / "tmp").iterdir())
    assert not list((pybuild.root / "locks").glob("lease-*"))
    pybuild.file("fine", "x")
    pybuild.build("FROM base\nCOPY fine /\nRUN cat /fine\n", "-t", "fine").ok()
    assert pybuild.shell("fine", "cat /fine") == "x"
    subprocess.run(["skopeo", "inspect", f"oci:{pybuild.root}:fine:latest"], check=True, capture_output=True)


def one_error(err: str) -> str:
    """The one line that says what is wrong."""
    lines = [line for line in err.splitlines() if line.startswith(("error: ", "Error: "))]
    assert len(lines) == 1, err
    return lines[0]


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [
        ("FROM base\nRUM x\n", 3, "unknown instruction: RUM"),
        ("FROM base\nCOPY --form=x a b\n", 3, "no flag --form"),
        ("FROM base\nCOPY nothing /\n", 4, "nothing is not in the build context"),
        ("FROM base\nCOPY --from=base /nothing /x\n", 4, "/nothing is not in"),
        ("FROM localhost:1/none\n", 8, "localhost:1 cannot be reached"),
        ("FROM base\nUSER nobody-knows\nRUN x\n", 4, "unable to find user nobody-knows"),
        ("FROM base\nCOPY --chown=nobody-knows Buildfile /\n", 4, "unable to find user nobody-knows"),
        ("FROM base\nRUN exit 9\n", 1, "exit code: 9"),
        ("FROM base\nCOPY Buildfile /bin\nCOPY Buildfile /bin/busybox/x\n", 3, "busybox"),
        ("FROM oci-layout:nowhere\n", 4, "no OCI layout"),
        ("FROM base\nRUN --mount=type=cash,target=/c x\n", 3, "cash"),
        ("", 3, "empty"),
        ("FROM base\n\0", 3, "not text"),
    ],
)
def test_a_bad_file(based: Pybuild, text: str, status: int, message: str) -> None:
    built = based.build(text)
    assert message in one_error(built.err)
    assert built.status == status
    if status == 3 and message not in ("not text",):
        assert "Buildfile:" in built.err
    still_works(based)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("build", "nowhere"), 4, "nowhere does not exist"),
        (("build", "-f", "none", "."), 4, "none does not exist"),
        (("build", "."), 4, "no Buildfile"),
        (("build", "http://localhost:1/x.tar"), 8, "localhost:1"),
        (("build", "--no-such-flag", "."), 2, "--no-such-flag"),
        (("build", "-t", "BAD NAME", "."), 2, "not an image reference"),
        (("build", "-o", "type=nonsense,dest=x", "."), 2, "type=nonsense"),
        (("build", "-o", "type=oci,dest=x,odd=1", "."), 2, "odd"),
        (("build", "--platform", "plan9/mips", "."), 2, "plan9"),
        (("build", "--network", "bridge", "."), 2, "bridge"),
        (("biuld",), 2, "Did you mean 'build'?"),
        (("run", "nothing:here"), 125, "nothing:here"),
        (("run", "-v", "name:/x", "base"), 125, "named volume"),
        (("run", "base", "/no/such/program"), 127, ""),
        (("run", "-w", "/x", "--read-only", "base", "true"), 126, ""),
        (("inspect", "nothing"), 4, "no such image"),
        (("load", "nowhere.tar"), 4, "nowhere.tar does not exist"),
        (("import", "--from-host", "no-such-program", "x"), 4, "no program no-such-program"),
        (("save", "nothing"), 4, "no such image"),
        (("rm", "nothing"), 4, "no such container"),
    ],
)
def test_a_bad_command(based: Pybuild, arguments: tuple[str, ...], status: int, message: str) -> None:
    done = based.try_(*arguments)
    assert done.returncode == status, done.stderr
    if message:
        assert message in one_error(done.stderr)
    still_works(based)


LINK_OUT = tar(member("link", kind=tarfile.SYMTYPE, link="/etc"), member("link/passwd", b"owned"))
CLIMB_BY_LINK = tar(directory("a"), member("a/up", kind=tarfile.SYMTYPE, link="../.."), member("a/up/x", b"owned"))
HARD_OUT = tar(member("s", kind=tarfile.SYMTYPE, link="/etc"), member("h", kind=tarfile.LNKTYPE, link="s/passwd"))


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (b"", "not a tar"),
        (b"\x1f\x8b but no gzip", "damaged"),
        (b"text" * 1000, "not a tar"),
        (busybox_rootfs()[:50_000], "cut off"),
        (tar(member("../out", b"x")), "climbs out"),
        (LINK_OUT, "leads out"),
        (CLIMB_BY_LINK, "leads out"),
        (HARD_OUT, "link"),
    ],
    ids=["empty", "not-gzip", "text", "truncated", "climbs", "symlink", "relative-symlink", "hardlink"],
)
def test_a_bad_tar(based: Pybuild, stream: bytes, message: str) -> None:
    before = sorted((based.root / "blobs" / "sha256").iterdir())
    done = based.try_("import", "-", "evil", input=stream)
    assert done.returncode == 5, done.stderr
    assert message in one_error(done.stderr)
    assert sorted((based.root / "blobs" / "sha256").iterdir()) == before
    assert "evil" not in based("images")
    based.file("evil.tar", stream)
    assert based.try_("load", "evil.tar").returncode == 5
    if stream.startswith((b"link", b"a", b"..", b"/tmp", b"s")):
        built = based.build("FROM base\nADD evil.tar /x/\n")
        assert built.status == 5, built.err
    still_works(based)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    path = tmp_path / "small"
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", path], check=True)
    yield path
    subprocess.run(["umount", path], check=True)


def test_a_full_disk(pybuild: Pybuild, small: Path) -> None:
    full = Pybuild(small / "store", pybuild.work)
    full.base()
    for text in ("FROM base\nRUN dd if=/dev/urandom of=/big bs=1M count=9\n", "FROM base\nCOPY big /big\n"):
        full.file("big", os.urandom(9_000_000))
        built = full.build(text)
        assert built.status in (1, 6), built.err
        assert "o space left" in built.err
        (full.work / "big").unlink()
    still_works(full)


def test_a_store_that_may_not_be_written(pybuild: Pybuild, small: Path) -> None:
    store = Pybuild(small / "store", pybuild.work)
    store.base()
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    try:
        built = store.build("FROM base\nRUN echo new\n")
        assert built.status == 6
        assert "read-only" in one_error(built.err)
        assert store.try_("images").returncode in (0, 6)
    finally:
        subprocess.run(["mount", "-o", "remount,rw", small], check=True)
    still_works(store)


def processes_with(marker: str) -> list[int]:
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if marker.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(int(pid))
        except OSError:
            continue
    return found


def wait_for(condition: object, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)], ids=lambda v: str(v)
)
def test_a_build_that_is_stopped_in_mid_step(based: Pybuild, number: signal.Signals, status: int) -> None:
    marker = f"7{os.getpid()}.{number}"
    based.file("Buildfile", f"FROM base\nRUN echo done\nRUN touch /half; sleep {marker} & sleep {marker}\n")
    process = based.start("build", "--progress", "plain", "-t", "app", ".")
    assert wait_for(lambda: len(processes_with(marker)) >= 2)
    process.send_signal(number)
    _, err = process.communicate(timeout=10)
    assert process.returncode == status, err
    assert b"Traceback" not in err
    assert wait_for(lambda: not processes_with(marker), 5), "the step outlived its build"
    mounts = Path("/proc/self/mountinfo").read_text()
    assert str(based.root) not in mounts
    again = based.build(f"FROM base\nRUN echo done\nRUN ls /half; echo again {marker}\n")
    assert again.cached == ["RUN echo done"]
    assert "No such file" in again.err
    still_works(based)


def test_no_user_namespaces(based: Pybuild) -> None:
    """An ordinary user on a machine that allows none is told so."""
    within = ("unshare", "--user", "--map-user=1000", "--keep-caps", "sh", "-c")
    script = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"'
    denied = replace(based, prefix=(*within, script, "sh", *based.prefix), root=based.work / "store")
    done = denied.try_("import", "--from-host", "sh", "base")
    assert done.returncode == 7
    assert "sysctl user.max_user_namespaces is 0" in one_error(done.stderr)
    assert "sysctl -w user.max_user_namespaces=15000" in done.stderr


def test_only_run_ends_with_dockers_125(based: Pybuild) -> None:
    assert based.try_("run", "--nonsense", "base").returncode == 125
    assert based.try_("run", "localhost:1/none").returncode == 125
    assert based.try_("inspect", "run").returncode == 4


def test_a_home_that_cannot_be_written(as_user: Pybuild) -> None:
    """Nothing is kept there that has another place; what has none says where it could be instead."""
    as_user.file("Buildfile", "FROM scratch\nENV A=1\n")
    home = as_user.file("home/keep", "").parent
    home.chmod(0o555)
    for place in (str(home), "/nonexistent"):
        assert as_user.try_("build", "-q", ".", HOME=place).returncode == 0, "the store is elsewhere"
        alone = replace(
            as_user, prefix=("env", "-u", "PYBUILD_ROOT", *as_user.prefix), env={**as_user.env, "HOME": place}
        )
        done = subprocess.run(
            [*alone.prefix, "images"], env={**os.environ, **alone.env}, capture_output=True, check=False
        )
        assert done.returncode == 6
        message, hint, _ = done.stderr.decode().split("\n")
        assert message == f"error: the store cannot be made in {place}/.local/share/pybuild: Permission denied"
        assert hint == "  hint: use another directory: --root DIR"


@pytest.mark.parametrize("progress", ["plain", "rawjson", "tty", "quiet"])
def test_whoever_watches_may_leave(based: Pybuild, progress: str) -> None:
    """A pipe that is closed early ends it quietly, and what was done stays done."""
    based.file("Buildfile", "FROM base\nRUN for i in 1 2 3 4 5 6 7 8 9; do echo $i; sleep 0.05; done\n")
    words = based.command("build", "--progress", progress, "--no-cache", "-t", f"left-{progress}", ".")
    script = '{ "$@" 2>&1 >/dev/null; echo "status $?" >&3; } | head -c 1'
    done = subprocess.run(
        ["sh", "-c", f"exec 3>&1; {script} >/dev/null", "sh", *words], cwd=based.work, capture_output=True, check=False
    )
    assert done.stdout in (b"status 0\n", b"status 1\n"), done.stdout
    assert done.stderr == b""
