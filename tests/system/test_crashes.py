"""Killed at any instant, nothing that was there is lost, nothing is half there, and the next command just works.

Builders are killed at every named point (`point(…)` in the code), in whichever process comes by, the first time, the
second and so on; and at random instants, two beside each other. After some kills the store is checked, the next build
is right, and nothing is left behind.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from builder.layers import compress
from builder.layers.tarread import read_entries
from builder.store.open import Store
from tests.support.program import Pybuild
from tests.support.waiting import wait_for

TOP = Path(__file__).parents[2]
PARENT = f"crashes-{os.getpid()}"
TEXT = """FROM base AS one
ARG N
RUN echo $N > /n
COPY given /given
FROM base AS two
ARG N
RUN --mount=type=cache,target=/c echo $N | tee /c/n > /two && ln /two /three && rm /etc/group
ADD packed.tar /packed/
FROM one
COPY --from=two /two /two
RUN cat /n /two /given > /out
"""
OPTIONS = (
    "--progress=quiet", "--keep-failed=0", "-t", "app", "-t", "other", "-f", "Crashes",
    "--pids-limit=500", "--cgroup-parent", f"/{PARENT}", ".",
)  # fmt: skip
# One point is not met more often than that in a build that is worth another kill.
MOST_TIMES = 12
RANDOM_KILLS = 150
NUMBERS = itertools.count(1)


def named() -> set[str]:
    """Every named point of the code."""
    files = (TOP / "builder").rglob("*.py")
    return {name for file in files for name in re.findall(r'^ *point\("([a-z:]+)"\)$', file.read_text(), re.MULTILINE)}


class Crashing:
    """A store on which builders are killed."""

    def __init__(self, pybuild: Pybuild) -> None:
        self.marker = f"crash-{os.getpid()}-{time.monotonic_ns()}"
        self.pybuild = replace(pybuild, env={"PYBUILD_TEST": self.marker})
        self.kills = 0

    def build(self, number: int, point: str = "") -> int:
        """Build with an argument nobody has built with; gives how it ended."""
        env = {"PYBUILD_POINT": point} if point else {}
        return self.pybuild.try_("build", "--build-arg", f"N={number}", *OPTIONS, **env).returncode

    def killed(self, point: str, *command: str) -> bool:
        """Run something that is killed at `point`; False when it never came by."""
        if command:
            status = self.pybuild.try_(*command, PYBUILD_POINT=point).returncode
        else:
            status = self.build(next(NUMBERS), point)
        self.kills += bool(status)
        return bool(status)

    def killed_at_random(self, seconds: float) -> None:
        """Two builders beside each other, each killed at some instant within so many seconds."""
        running = []
        for _ in range(2):
            options = ("build", "--build-arg", f"N={next(NUMBERS)}", *OPTIONS)
            running.append((self.pybuild.start(*options), random.uniform(0, seconds)))
        begun = time.monotonic()
        for process, after in sorted(running, key=lambda one: one[1]):
            time.sleep(max(0.0, begun + after - time.monotonic()))
            process.send_signal(signal.SIGKILL)
        for process, _ in running:
            process.communicate()
            self.kills += process.returncode == -signal.SIGKILL

    def check(self) -> None:
        """All is well: nothing is damaged, the next build is right, nothing is left over."""
        self._gone()
        done = self.pybuild.try_("cache", "verify", "--format=json")
        assert done.returncode == 0, done.stdout + done.stderr
        number = next(NUMBERS)
        assert self.build(number) == 0
        for name in ("app", "other"):
            assert self.content(name, "out") == f"{number}\n{number}\ngiven".encode()
        self._gone()
        assert list((self.pybuild.root / "tmp").iterdir()) == []
        locks = {path.name for path in (self.pybuild.root / "locks").iterdir()}
        assert not [name for name in locks if name.startswith(("lease-", "key-"))]
        assert not list(self.pybuild.root.glob("*.tmp"))
        assert not [path for path, _, _ in os.walk("/sys/fs/cgroup") if f"/{PARENT}/" in path]
        assert str(self.pybuild.root) not in Path("/proc/self/mountinfo").read_text()

    def content(self, image: str, path: str) -> bytes:
        """A file of an image, read from its blobs."""
        store = Store.open(self.pybuild.root)
        try:
            for layer in reversed(store.images.layers(store.images.find(image).manifest.digest)):
                for entry, data in read_entries(compress.plain(store.blobs.open(layer.blob))):
                    if entry.path == path:
                        return data.read()
            raise AssertionError(f"{image} has no {path}")
        finally:
            store.close()

    def _gone(self) -> None:
        wait_for(lambda: not list(self._processes()), lambda: f"still there: {list(self._processes())}")

    def _processes(self) -> Iterator[str]:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if f"PYBUILD_TEST={self.marker}".encode() in (process / "environ").read_bytes():
                    yield (process / "cmdline").read_text()
            except OSError:
                continue


def lay_out(pybuild: Pybuild) -> None:
    """What TEXT needs."""
    pybuild.file("given", "given")
    pybuild.file("Crashes", TEXT)
    with tarfile.open(pybuild.work / "packed.tar", "w") as archive:
        archive.add(pybuild.work / "given", "given")


@pytest.fixture
def crashing(pybuild: Pybuild) -> Iterator[Crashing]:
    pybuild.base()
    lay_out(pybuild)
    found = Crashing(pybuild)
    assert found.build(next(NUMBERS)) == 0
    yield found
    group = Path("/sys/fs/cgroup") / PARENT
    if group.exists():
        group.rmdir()


# Points that only other commands come by, or what an option asks for; a plain build comes by all the rest.
ELSEWHERE = {
    "gc:records", "gc:forgotten", "gc:taken", "blob:anew", "verify:snapshot", "rebuild:ready", "rebuild:aside",
    "store:directories", "settled:dropped", "settled:synced", "failed:ready", "cachemount:removing",
    "cachemount:unpacked", "cachemount:swapped", "cache:pointing", "compressed:written", "push:blob",
    "copy:remembering", "snapshot:exchanged",
}  # fmt: skip


def test_killed_at_every_point_of_a_build(crashing: Crashing) -> None:
    points = sorted(named() - ELSEWHERE)
    for number, name in enumerate(points):
        times = 0
        while times < MOST_TIMES and crashing.killed(f"{name}=kill@{times + 1}"):
            times += 1
        assert times, f"no build comes by {name}"
        if number % 3 == 2:  # whatever one leaves is there still
            crashing.check()
    crashing.check()
    print(f"{crashing.kills} kills at {len(points)} points")
    assert crashing.kills >= 40


def test_killed_at_random(crashing: Crashing) -> None:
    begun = time.monotonic()
    crashing.build(next(NUMBERS))
    seconds = time.monotonic() - begun
    for turn in itertools.count():
        crashing.killed_at_random(seconds)
        if turn % 15 == 14:
            crashing.check()
        if crashing.kills >= RANDOM_KILLS:
            break
    print(f"{crashing.kills} kills within {seconds:.2f} s")
    crashing.check()


def test_killed_while_it_collects(crashing: Crashing) -> None:
    for name in ("gc:records", "gc:forgotten", "gc:taken"):
        crashing.build(next(NUMBERS))
        assert crashing.killed(f"{name}=kill", "cache", "prune", "--all", "--force")
        crashing.check()
    crashing.pybuild("cache", "verify", "--repair")
    found = json.loads(crashing.pybuild("cache", "verify", "--format=json"))["report"]["findings"]
    assert found == []


def test_killed_while_it_mends(crashing: Crashing) -> None:
    root = crashing.pybuild.root
    snapshot = next(path for path in (root / "snapshots").iterdir() if (path / "out").exists())
    (snapshot / "out").write_text("damaged")
    assert crashing.killed("verify:snapshot=kill", "cache", "verify", "--repair")
    crashing.pybuild("cache", "verify", "--repair")
    crashing.check()
    store = Store.open(root)
    blob = Path(store.blobs.path(store.images.layers(store.images.find("app").manifest.digest)[-1].blob.digest))
    store.close()
    blob.write_bytes(b"damaged")
    assert crashing.killed("blob:anew=kill", "cache", "verify", "--repair")
    crashing.pybuild("cache", "verify", "--repair")
    crashing.check()
    for name in ("rebuild:ready", "rebuild:aside"):
        with (root / "pybuild.db").open("r+b") as file:
            file.write(b"damaged" * 1000)
        assert crashing.killed(f"{name}=kill", "cache", "verify", "--repair")
        assert crashing.pybuild.try_("images").returncode == 6
        crashing.pybuild("cache", "verify", "--repair")
        assert "app" in crashing.pybuild("images")
        crashing.check()


@pytest.mark.parametrize("name", ["store:directories", "file:written", "file:renamed", "db:commit", "db:committed"])
def test_killed_while_the_store_is_made(pybuild: Pybuild, name: str) -> None:
    for times in (1, 2):
        new = replace(pybuild, root=pybuild.root.with_name(f"new-{times}"))
        killed = new.try_("images", PYBUILD_POINT=f"{name}=kill@{times}").returncode
        assert killed == -signal.SIGKILL or times > 1
        assert new("images").count("\n") == 1
    new("cache", "verify")
    assert not list(new.root.glob("*.tmp"))


def test_killed_while_a_failed_step_is_kept(crashing: Crashing) -> None:
    crashing.pybuild.file("Fails", "FROM base\nRUN echo > /half; exit 3\n")
    done = crashing.pybuild.try_("build", "-f", "Fails", ".", PYBUILD_POINT="failed:ready=kill")
    assert done.returncode == 7
    crashing.check()


def test_killed_after_a_boot(crashing: Crashing, tmp_path: Path) -> None:
    """In another boot, and while snapshots settle: an ID of our own lies over the kernel's."""
    boot = tmp_path / "boot"
    lay = f'mount --bind {boot} /proc/sys/kernel/random/boot_id && exec "$@"'
    there = crashing.pybuild
    crashing.pybuild = replace(there, prefix=("unshare", "-m", "sh", "-c", lay, "sh", *there.prefix))
    for turn in range(2):
        boot.write_text(f"another-{turn}\n")
        assert crashing.killed("settled:dropped=kill")
        crashing.check()
        (note,) = there.root.glob("settled.*")
        first, _, rest = note.read_text().partition("\n")
        assert first.startswith(f"another-{turn} ")
        note.write_text(f"another-{turn} 0 0\n{rest}")
        crashing.build(next(NUMBERS), "settled:synced=kill")
        crashing.check()


def test_killed_while_a_cache_mount_is_taken_in_or_removed(crashing: Crashing) -> None:
    pybuild = crashing.pybuild
    pybuild("cache", "mount", "export", "/c", "archive.tar")
    for name in ("cachemount:unpacked", "cachemount:swapped"):
        assert crashing.killed(f"{name}=kill", "cache", "mount", "import", "archive.tar", "/c")
        crashing.check()
        pybuild("cache", "mount", "import", "archive.tar", "/c")
    assert crashing.killed("cachemount:removing=kill", "cache", "mount", "rm", "/c")
    crashing.check()


def test_a_power_cut(tmp_path: Path) -> None:
    """On a file system that is shut down without a word to its disk, and mounted again (FS_IOC_SHUTDOWN)."""
    disk, place, boot = tmp_path / "disk", tmp_path / "place", tmp_path / "boot"
    with disk.open("wb") as file:
        file.truncate(128 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-F", disk], check=True)
    place.mkdir()
    work = tmp_path / "work"
    work.mkdir()
    lay = f'mount --bind {boot} /proc/sys/kernel/random/boot_id && exec "$@"'
    plain = Pybuild(place / "store", work)
    crashing = Crashing(replace(plain, prefix=("unshare", "-m", "sh", "-c", lay, "sh", *plain.prefix)))
    lay_out(crashing.pybuild)
    number = 0
    for turn in range(4):
        boot.write_text(f"boot-{turn}\n")
        subprocess.run(["mount", "-o", "loop", disk, place], check=True)
        try:
            if turn:
                assert {"app", "other", "base"} <= set(crashing.pybuild("images").split())
                assert crashing.content("app", "out") == f"{number}\n{number}\ngiven".encode()
                crashing.check()
            else:
                crashing.pybuild.base()
            number = next(NUMBERS)
            assert crashing.build(number) == 0
            going = crashing.pybuild.start("build", "--build-arg", f"N={next(NUMBERS)}", *OPTIONS)
            time.sleep(turn * 0.1)
            shut_down(place)
            going.communicate()
            crashing._gone()
        finally:
            subprocess.run(["umount", place], check=True)
            # The last mount namespace that knew of it goes a little later.
            wait_for(lambda: not subprocess.check_output(["losetup", "-j", disk]), lambda: "the disk is still in use")
    group = Path("/sys/fs/cgroup") / PARENT
    if group.exists():
        group.rmdir()


def shut_down(place: Path) -> None:
    """ioctl FS_IOC_SHUTDOWN, FS_SHUTDOWN_FLAGS_NOLOGFLUSH: what is not on the disk yet is lost."""
    import fcntl
    import struct

    fd = os.open(place, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, 0x8004587D, struct.pack("I", 2))
    finally:
        os.close(fd)
