"""What steps and containers may use: control groups, resource limits, /dev/shm, and what is said when they are met."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.support.program import Pybuild
from tests.support.waiting import wait_for

GROUPS = Path("/sys/fs/cgroup")
EATER = "FROM base\nRUN x=$(dd if=/dev/zero bs=1M count=300 2>/dev/null | tr '\\0' a)\n"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("limits")
    pybuild = Pybuild(directory / "store", directory)
    pybuild.base()
    return pybuild.root


@pytest.fixture
def based(store: Path, tmp_path: Path) -> Pybuild:
    return Pybuild(store, tmp_path)


def groups() -> list[str]:
    """The control groups of steps, but those of the crashes that another test makes beside (test_crashes)."""
    found = (name for path, names, _ in os.walk(GROUPS) if "/crashes-" not in path for name in names)
    return [name for name in found if re.fullmatch("pybuild-[0-9a-f]{16}", name)]


def no_groups_are_left() -> bool:
    """Those of tests beside this one go by themselves; what was left would stay."""
    wait_for(lambda: not groups(), lambda: str(groups()))
    return True


def test_a_step_that_eats_memory_is_killed_and_told_of(based: Pybuild) -> None:
    done = based.build(EATER, "--memory", "64m")
    assert done.status == 1
    assert "it was killed for memory: its limit is 64 MiB, its peak was 6" in done.err
    assert no_groups_are_left()


def test_a_step_within_its_limits_is_built_and_cached_whatever_they_are(based: Pybuild) -> None:
    text = "FROM base\nRUN echo limited > /f\n"
    based.build(text, "--memory", "256m", "--cpus", "1.5", "--pids-limit", "50").ok()
    assert based.build(text).ok().ran == []
    assert no_groups_are_left()


def test_a_step_that_forks_without_end_meets_its_limit(based: Pybuild) -> None:
    text = "FROM base\nRUN i=0; while [ $i -lt 60 ]; do sleep 30 & i=$((i+1)); done\n"
    done = based.build(text, "--pids-limit", "20")
    assert done.status == 1
    assert "it met its limit of 20 processes" in done.err
    assert no_groups_are_left()


def test_limits_are_what_the_control_group_says(based: Pybuild) -> None:
    """Seen from outside: the group is found by the name of its parent."""
    process = based.start(
        "run", "--rm", "--memory", "100m", "--cpus", "0.5", "--pids-limit", "7", "-c", "512", "--cpuset-cpus", "0",
        "--cgroup-parent", "/pybuild.test", "base", "sh", "-c", "echo ready; sleep 600",
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n", process.communicate()[1]
        found = {}
        for file in (
            "memory.limit_in_bytes", "memory.max", "cpu.cfs_quota_us", "cpu.max", "cpu.shares", "cpu.weight",
            "cpuset.cpus", "cpuset.mems", "pids.max",
        ):  # fmt: skip
            for path in GROUPS.glob(f"**/pybuild.test/pybuild-*/{file}"):
                found[file] = path.read_text().strip()
        values = set(found.values())
        assert {"104857600", "7"} <= values, found
        assert values & {"50000", "50000 100000"}, found
        assert values & {"512", "20"}, found
        assert found["cpuset.cpus"] == "0"
        assert found["cpuset.mems"] == (GROUPS / "cpuset" / "cpuset.mems").read_text().strip()
    finally:
        process.terminate()
        process.communicate()
    assert no_groups_are_left()
    assert not list(GROUPS.glob("**/pybuild.test"))


def test_what_a_killed_process_left_is_swept_by_the_next(based: Pybuild) -> None:
    process = based.start("run", "--rm", "--pids-limit", "9", "base", "sh", "-c", "echo ready; sleep 600")
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.kill()
    process.communicate()
    for container in (based.root / "containers").iterdir():
        based.try_("rm", container.name)
    based("run", "--rm", "--pids-limit", "9", "base", "true")
    assert no_groups_are_left()


def test_an_ordinary_user_is_refused_limits_the_kernel_does_not_let_it_set(as_user: Pybuild) -> None:
    as_user.base()
    done = as_user.try_("run", "--rm", "--memory", "64m", "base", "true")
    assert done.returncode == 125
    assert "steps cannot be limited here" in done.stderr
    done = as_user.build("FROM base\nRUN true\n", "--pids-limit", "10")
    assert done.status == 7
    assert "leave the limit away" in done.err or "delegate" in done.err


def test_resource_limits_and_shared_memory(based: Pybuild) -> None:
    options = ("--ulimit", "nofile=100:200", "--ulimit", "core=0", "--shm-size", "1m", "--oom-score-adj", "300")
    script = "ulimit -n; ulimit -Hn; ulimit -c; cat /proc/self/oom_score_adj; df -k /dev/shm | tail -1"
    out = based.shell("base", script, *options).split()
    assert out[:4] == ["100", "200", "0", "300"]
    assert out[5] == "1024"
    built = based.build("FROM base\nRUN ulimit -n; ulimit -Hn\n", "--ulimit", "nofile=64:128", "--no-cache").ok()
    assert "64" in built.err
    assert "128" in built.err


def test_a_limit_the_kernel_refuses_is_an_error(based: Pybuild) -> None:
    done = based.try_("run", "--rm", "--ulimit", "nofile=1:99999999999", "base", "true")
    assert done.returncode == 125
    assert "the kernel refuses --ulimit nofile=1:99999999999" in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--memory", "1m"), "the least is 6m"),
        (("--memory", "lots"), "is no size"),
        (("--memory-swap", "64m"), "needs --memory"),
        (("--memory", "64m", "--memory-swap", "32m"), "cannot be less"),
        (("--cpus", "0.001"), "at least 0.01"),
        (("--cpus", "nan"), "no number of processors"),
        (("--ulimit", "files=3"), "did you mean nofile?"),
        (("--ulimit", "nofile=9:3"), "must not be above"),
        (("--cgroup-parent", "/../../x", "--pids-limit", "3"), "leads out"),
        (("--security-opt", "label=disable"), "is not known"),
        (("--oom-score-adj", "2000"), "between -1000 and 1000"),
    ],
)
def test_what_means_nothing_is_refused(based: Pybuild, options: tuple[str, ...], message: str) -> None:
    done = based.try_("run", "--rm", *options, "base", "true")
    assert done.returncode == 125
    assert message in done.stderr


def test_no_new_privileges_and_no_filter_when_asked(based: Pybuild) -> None:
    script = "grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status"
    assert based.shell("base", script).split() == ["NoNewPrivs:", "0", "Seccomp:", "2"]
    with_both = ("--security-opt", "no-new-privileges", "--security-opt", "seccomp=unconfined")
    assert based.shell("base", script, *with_both).split() == ["NoNewPrivs:", "1", "Seccomp:", "0"]


def test_the_filter_is_compiled_once(based: Pybuild) -> None:
    based("run", "--rm", "base", "true")
    (kept,) = (based.root / "filters").iterdir()
    before = kept.stat().st_mtime_ns
    based("run", "--rm", "base", "true")
    assert kept.stat().st_mtime_ns == before
    kept.write_bytes(kept.read_bytes()[:-8])
    based("run", "--rm", "base", "true")
    assert kept.stat().st_mtime_ns != before


# --- containers ----------------------------------------------------------------------------------


def test_what_joins_a_container_counts_against_its_limits(based: Pybuild) -> None:
    based("run", "-d", "--rm", "--name", "one", "--pids-limit", "20", "base", "sleep", "86400")
    forks = based.try_("exec", "one", "sh", "-c", "for i in $(seq 40); do sleep 5 & done; wait")
    assert "can't fork" in forks.stderr
    based("rm", "-f", "one")
    assert no_groups_are_left()


@pytest.mark.parametrize("detach", [(), ("-d",)], ids=["", "detached"])
def test_a_container_that_eats_memory_is_killed_and_told_of(based: Pybuild, detach: tuple[str, ...]) -> None:
    eat = "x=$(dd if=/dev/zero bs=1M count=300 2>/dev/null | tr '\\0' a)"
    done = based.try_("run", *detach, "--name", "one", "--memory", "64m", "base", "sh", "-c", eat)
    if detach:
        based("wait", "one")
    else:
        assert "killed for memory: its limit is 64.0 MiB" in done.stderr
    (row,) = json.loads(based("ps", "-a", "--format", "json"))
    assert row["container"]["oom_killed"] is True
    based("rm", "one")
    assert no_groups_are_left()
