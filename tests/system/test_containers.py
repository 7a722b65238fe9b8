"""Detached containers: begun, listed, joined, ended, started again; what they print; what they leave."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.api.containers import containers
from builder.api.session import Session
from builder.errors import UsageError
from tests.support.program import Pybuild
from tests.support.waiting import PATIENCE, wait_for


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a base of busybox."""
    directory = tmp_path_factory.mktemp("containers")
    pybuild = Pybuild(directory / "store", directory)
    pybuild.base()
    return pybuild.root


@pytest.fixture
def based(store: Path, tmp_path: Path) -> Iterator[Pybuild]:
    """The program on that store; a test leaves no container, process, control group or mount of it there."""
    pybuild = Pybuild(store, tmp_path)
    yield pybuild
    left = pybuild("ps", "-aq", "--no-trunc").split()
    if left:
        pybuild("rm", "-f", *left)
    assert not list((store / "containers").iterdir())
    wait_for(lambda: not processes_of(store))
    assert not list((store / "tmp").iterdir())
    assert left == []


def processes_of(store: Path) -> list[str]:
    """The processes that watch or are containers of `store`, and those that have it mounted."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_text(errors="replace")
            if (str(store) in words and "builder.api" in words) or str(store) in (path / "mountinfo").read_text():
                found.append(f"{path.name}: {words}")
        except OSError:
            continue
    return found


def row(pybuild: Pybuild, name: str) -> dict[str, object]:
    """What `ps` knows of a container."""
    (found,) = (r for r in json.loads(pybuild("ps", "-a", "--format", "json")) if r["container"]["name"] == name)
    return {**found["container"], "state": found["state"]}


def sleeper(pybuild: Pybuild, name: str, *options: str) -> str:
    """A detached container that ends at once when it is told to; gives its ID."""
    script = "trap 'exit 3' TERM; trap 'echo got usr1' USR1; echo ready; while :; do sleep 86400 & wait; done"
    identifier = pybuild("run", "-d", "--name", name, *options, "base", "sh", "-c", script).strip()
    wait_for(lambda: "ready" in pybuild("logs", name))
    return identifier


# --- its life ------------------------------------------------------------------------------------


def test_detached_it_lives_on(based: Pybuild) -> None:
    identifier = sleeper(based, "one", "--cidfile", f"{based.work}/cid")
    assert re.fullmatch("[0-9a-f]{64}", identifier)
    assert (based.work / "cid").read_text() == identifier
    assert row(based, "one")["state"] == "running"
    assert re.search(rf"^{identifier[:12]} .* Up .* one$", based("ps"), re.MULTILINE)
    refused = based.try_("rm", "one")
    assert (refused.returncode, "container one is running" in refused.stderr) == (2, True)
    again = based.try_("run", "-d", "--cidfile", f"{based.work}/cid", "base", "true")
    assert (again.returncode, "is there already" in again.stderr) == (125, True)
    assert based("stop", "one") == "one\n"
    assert (row(based, "one")["state"], row(based, "one")["status"]) == ("exited", 3)
    assert " Exited (3) " in based("ps", "-a")
    assert based("wait", "one") == "3\n"
    assert based("stop", "one") == "one\n"
    assert based("rm", "one") == "one\n"


def test_stop_kills_what_does_not_listen(based: Pybuild) -> None:
    script = "trap 'exit 4' USR1; trap '' TERM; while :; do sleep 86400 & wait; done"
    based.build(f"FROM base\nSTOPSIGNAL SIGUSR1\nCMD {script}\n", "-t", "app").ok()
    based("run", "-d", "--name", "deaf", "base", "sh", "-c", "trap '' TERM; while :; do sleep 86400 & wait; done")
    based("run", "-d", "--name", "own", "app")
    based("stop", "-t", "0", "deaf")
    based("stop", "-t", str(PATIENCE), "own")
    assert (row(based, "deaf")["status"], row(based, "own")["status"]) == (137, 4)
    based("rm", "deaf", "own")
    based("rmi", "app")


def test_kill_sends_any_signal(based: Pybuild) -> None:
    sleeper(based, "one")
    for name in ("USR1", "sigusr1", "10"):
        based("kill", "-s", name, "one")
    wait_for(lambda: "got usr1" in based("logs", "one"))
    wrong = based.try_("kill", "-s", "NOPE", "one")
    assert (wrong.returncode, "NOPE is not a signal" in wrong.stderr) == (2, True)
    waiting = based.start("wait", "one")
    based("kill", "one")
    out, _ = waiting.communicate(timeout=PATIENCE)
    assert out == b"137\n"
    gone = based.try_("kill", "one")
    assert (gone.returncode, "container one is not running" in gone.stderr) == (2, True)
    based("rm", "one")


def test_started_again_it_has_its_files(based: Pybuild) -> None:
    based("run", "-d", "--name", "one", "-e", "A=b", "base", "sh", "-c", "echo $A >> /count; wc -l < /count; exit 5")
    assert based("wait", "one") == "5\n"
    assert based("start", "one") == "one\n"
    based("wait", "one")
    attached = based.try_("start", "-a", "one")
    assert (attached.returncode, attached.stdout) == (5, "3\n")
    assert based("logs", "one") == "1\n2\n"
    based("rm", "one")


def test_start_with_input(based: Pybuild) -> None:
    assert based("run", "-i", "--name", "one", "base", "cat", input=b"first") == "first"
    assert based("start", "-ai", "one", input=b"second") == "second"
    based("rm", "one")


def test_restart(based: Pybuild) -> None:
    sleeper(based, "one")
    before = row(based, "one")
    assert based("restart", "one") == "one\n"
    assert row(based, "one")["state"] == "running"
    assert based("start", "one") == "one\n", "it runs already"
    assert before["id"] == row(based, "one")["id"]
    assert based("rm", "-f", "one") == "one\n"


def test_with_rm_it_goes_when_it_ends(based: Pybuild) -> None:
    sleeper(based, "one", "--rm")
    waiting = based.start("wait", "one")
    wait_for(lambda: waiting.poll() is not None or processes_waiting(based))
    based("stop", "one")
    out, _ = waiting.communicate(timeout=PATIENCE)
    assert out in (b"3\n", b"")
    assert based("ps", "-aq") == ""


def processes_waiting(pybuild: Pybuild) -> bool:
    lock = next((pybuild.root / "containers").glob("*/lock"))
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(link) == str(lock) and b"\0wait\0" in (link.parents[1] / "cmdline").read_bytes():
                return True
        except OSError:
            continue
    return False


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("base", "no-such-program"), 127, 'exec: "no-such-program": executable file not found in $PATH'),
        (("base", "/etc/passwd"), 126, "Permission denied"),
        (("-u", "nobody-knows", "base", "true"), 125, "unable to find user nobody-knows"),
        (("nothing:here",), 125, "nothing:here"),
    ],
)
def test_what_cannot_begin(based: Pybuild, arguments: tuple[str, ...], status: int, message: str) -> None:
    done = based.try_("run", "-d", "--rm", *arguments)
    assert done.returncode == status, done.stderr
    assert message in done.stderr


def test_filters(based: Pybuild) -> None:
    sleeper(based, "web-1")
    based.build("FROM base\nLABEL tier=back\nRUN touch /x\n", "-t", "child").ok()
    based("run", "--name", "job", "--network", "none", "-v", f"{based.work}:/work", "child", "true")
    both = ["job", "web-1"]
    for filters, names in {
        ("name=web",): ["web-1"],
        ("name=^eb",): [],
        ("name=web", "name=job"): ["job", "web-1"],
        ("status=exited",): ["job"],
        ("status=running",): ["web-1"],
        ("ancestor=base",): both,
        ("ancestor=child",): ["job"],
        ("label=tier",): ["job"],
        ("label=tier", "label=tier=front"): [],
        ("exited=0",): ["job"],
        ("exited=1",): [],
        ("before=job",): ["web-1"],
        ("since=web-1",): ["job"],
        ("volume=/work",): ["job"],
        (f"volume={based.work}",): ["job"],
        ("network=none",): ["job"],
        ("network=none", "network=default"): both,
        ("ancestor=base", "status=created"): [],
    }.items():
        with Session(based.root) as session:
            assert [row.container.name for row in containers(session, filters)] == names
    for wrong, said in {
        "color=red": "use id=, name=,",
        "statsu=exited": "did you mean status=exited?",
        "name": "use name=VALUE",
        "status=asleep": "use created, running",
        "exited=soon": "such as exited=0",
        "name=(": "regular expression",
    }.items():
        with Session(based.root) as session, pytest.raises(UsageError) as error:
            containers(session, [wrong])
        assert said in f"{error.value.message} {error.value.hint}"
    options = ("--filter", "name=web", "--filter", "name=job", "--filter", "label=tier", "--format", "json")
    assert [row["container"]["name"] for row in json.loads(based("ps", "-a", *options))] == ["job"]
    assert "use id=, name=," in based.try_("ps", "--filter", "color=red").stderr
    assert based("ps", "-q", "--filter", "exited=0").split() == based("ps", "-lq").split()
    told = json.loads(based("inspect", "job"))[0]
    assert (told["Name"], told["State"]["Status"], told["State"]["ExitCode"]) == ("/job", "exited", 0)
    assert told["Config"]["Labels"] == {"tier": "back"}
    assert [(m["Source"], m["Destination"], m["RW"]) for m in told["Mounts"]] == [(str(based.work), "/work", True)]
    assert told["State"]["StartedAt"] < told["State"]["FinishedAt"]
    form = "{{.State.Running}} {{.HostConfig.NetworkMode}} {{.Path}} {{len .Args}} {{gt .State.Pid 0}}"
    assert based("inspect", "-f", form, told["Id"][:8], "web-1").splitlines() == [
        "false none true 0 false",
        "true default sh 2 true",
    ]
    assert based.try_("inspect", "--type", "image", "job").returncode == 4
    assert based("inspect", "-f", "{{index .RepoTags 0}}", "child") == "child:latest\n"
    form = 'table {{.Names}}\t{{.State}}\t{{.Label "tier"}}\t{{.Mounts}}\t{{.Networks}}'
    assert [line.split() for line in based("ps", "-a", "--no-trunc", "--format", form).splitlines()] == [
        ["NAMES", "STATE", "tier", "MOUNTS", "NETWORKS"],
        ["job", "exited", "back", str(based.work), "none"],
        ["web-1", "running", "default"],
    ]
    based("rm", "-f", "web-1", "job")


def test_what_it_stands_on_is_not_removed(based: Pybuild) -> None:
    based.build("FROM base\nRUN echo kept > /file\n", "-t", "app").ok()
    sleep = based("run", "-d", "app", "sleep", "86400").strip()
    refused = based.try_("rmi", "app")
    assert refused.returncode != 0
    based("rmi", "-f", "app")
    assert based("exec", sleep, "cat", "/file") == "kept\n"
    based("rm", "-f", sleep)


# --- what it prints ------------------------------------------------------------------------------


def test_logs_keep_the_streams_apart(based: Pybuild) -> None:
    based("run", "-d", "--name", "one", "base", "sh", "-c", "echo 1; echo 2; printf 3; echo err >&2; printf '\\377'")
    based("wait", "one")
    done = subprocess.run(based.command("logs", "one"), capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"1\n2\n3\xff", b"err\n")
    stamped = based.try_("logs", "-t", "one")
    assert re.fullmatch(r"20\S+T\S+\.\d{9}Z err\n", stamped.stderr)
    assert re.match(r"20\S+Z 1\n20\S+Z 2\n20\S+Z 3", stamped.stdout)
    tail = based.try_("logs", "-n", "2", "one")
    assert (tail.stdout + tail.stderr).replace("err\n", "").startswith(("3", "2\n3"))
    based("rm", "one")


def test_logs_follow_until_it_ends(based: Pybuild) -> None:
    sleeper(based, "one")
    following = based.start("logs", "-f", "one")
    assert following.stdout is not None
    assert following.stdout.readline() == b"ready\n"
    based("kill", "-s", "USR1", "one")
    assert following.stdout.readline() == b"got usr1\n"
    based("stop", "one")
    assert following.wait(PATIENCE) == 0
    following.communicate()
    based("rm", "one")


def test_logs_of_a_foreground_container_were_not_kept(based: Pybuild) -> None:
    based("run", "--name", "one", "base", "true")
    refused = based.try_("logs", "one")
    assert (refused.returncode, "was not kept" in refused.stderr) == (4, True)
    based("rm", "one")


def test_a_terminal_of_a_detached_container(based: Pybuild) -> None:
    based("run", "-dit", "--name", "one", "base", "sh")
    assert row(based, "one")["state"] == "running"
    based("rm", "-f", "one")
    based("run", "-d", "-t", "--name", "one", "base", "sh", "-c", "tty; exec sleep 86400")
    wait_for(lambda: based("logs", "one") == "/dev/pts/0\r\n")
    based("rm", "-f", "one")


# --- exec ----------------------------------------------------------------------------------------


def test_exec_is_inside(based: Pybuild) -> None:
    sleeper(based, "one", "-e", "A=1", "-h", "box", "--network", "none")
    look = "echo $A $B; hostname; id -u; pwd; ls /sys/class/net; ps | grep -c 'sleep 86400' > /found; echo $HOME"
    assert based("exec", "-e", "B=2", "one", "sh", "-c", look) == "1 2\nbox\n0\n/\nlo\n/root\n"
    assert based("exec", "-u", "alice", "-w", "/tmp", "one", "sh", "-c", "id -u; pwd") == "1000\n/tmp\n"
    assert based("exec", "one", "test", "-s", "/found") == ""
    assert based("exec", "-i", "one", "cat", input=b"typed") == "typed"
    assert based("exec", "one", "wc", "-c", input=b"not seen") == "0\n"
    based("rm", "-f", "one")


CONFINEMENT = "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status; ulimit -n; cat /proc/self/oom_score_adj"
SAME = f"{CONFINEMENT}; for n in mnt pid ipc uts net cgroup user; do readlink /proc/self/ns/$n; done"


def test_exec_is_confined_as_the_command(based: Pybuild) -> None:
    options = ("--ulimit", "nofile=77:88", "--oom-score-adj", "5", "--security-opt", "no-new-privileges")
    script = f"{SAME}; echo end; exec sleep 86400"
    based("run", "-d", "--name", "one", *options, "base", "sh", "-c", script)
    wait_for(lambda: "end" in based("logs", "one"))
    assert based("exec", "one", "sh", "-c", SAME) + "end\n" == based("logs", "one")
    based("rm", "-f", "one")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("sh", "-c", "exit 9"), 9, ""),
        (("sh", "-c", "kill -9 $$"), 137, ""),
        (("no-such-program",), 127, "executable file not found in $PATH"),
        (("/etc/passwd",), 126, "Permission denied"),
    ],
)
@pytest.mark.parametrize("detach", [(), ("-d",)], ids=["", "detached"])
def test_execs_status(
    based: Pybuild, detach: tuple[str, ...], arguments: tuple[str, ...], status: int, message: str
) -> None:
    based("run", "-d", "--name", "one", "base", "sleep", "86400")
    done = based.try_("exec", *detach, "one", *arguments)
    begins = status not in (126, 127)
    assert done.returncode == (0 if detach and begins else status)
    assert message in done.stderr or detach
    based("rm", "-f", "one")


def test_exec_refuses_what_cannot_be(based: Pybuild) -> None:
    based("run", "--name", "one", "base", "true")
    ended = based.try_("exec", "one", "true")
    assert (ended.returncode, "container one is not running" in ended.stderr) == (125, True)
    assert based.try_("exec", "nothing", "true").returncode == 125
    based("start", "one")
    based("rm", "-f", "one")
    based("run", "-d", "--name", "one", "base", "sleep", "86400")
    nobody = based.try_("exec", "-u", "nobody-knows", "one", "true")
    assert (nobody.returncode, "unable to find user nobody-knows" in nobody.stderr) == (125, True)
    based("rm", "-f", "one")


def test_exec_detached_goes_on(based: Pybuild) -> None:
    sleeper(based, "one")
    based("exec", "-d", "one", "sh", "-c", "while [ ! -e /go ]; do sleep 0.05; done; echo done > /done")
    based("exec", "one", "touch", "/go")
    wait_for(lambda: based.try_("exec", "one", "cat", "/done").stdout == "done\n")
    based("rm", "-f", "one")


def test_exec_ends_with_the_container(based: Pybuild) -> None:
    sleeper(based, "one")
    joined = based.start("exec", "one", "sh", "-c", "echo ready; exec sleep 86400")
    assert joined.stdout is not None
    assert joined.stdout.readline() == b"ready\n"
    based("rm", "-f", "one")
    assert joined.wait(PATIENCE) == 137
    joined.communicate()


def test_a_signal_goes_to_what_exec_runs(based: Pybuild) -> None:
    sleeper(based, "one")
    joined = based.start("exec", "one", "sh", "-c", "trap 'exit 6' TERM; echo ready; while :; do sleep 0.05; done")
    assert joined.stdout is not None
    assert joined.stdout.readline() == b"ready\n"
    joined.send_signal(signal.SIGTERM)
    assert joined.wait(PATIENCE) == 6
    joined.communicate()
    based("rm", "-f", "one")


# --- how it ends when it should not --------------------------------------------------------------


def test_kill_9_of_the_monitor_ends_it(based: Pybuild) -> None:
    sleeper(based, "one")
    (monitor,) = (line for line in processes_of(based.root) if "builder.api.monitor" in line and pid_is_leader(line))
    os.kill(int(monitor.split(":")[0]), signal.SIGKILL)
    wait_for(lambda: not processes_of(based.root))
    assert row(based, "one")["state"] == "dead"
    assert " Dead " in based("ps", "-a")
    assert based("wait", "one") == "137\n"
    assert based("start", "one") == "one\n"
    assert row(based, "one")["state"] == "running"
    based("rm", "-f", "one")


def pid_is_leader(line: str) -> bool:
    """Whether it is the monitor itself, not one of those it has forked: they are in sessions of their own."""
    pid = int(line.split(":")[0])
    parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return "builder.api.monitor" not in Path(f"/proc/{parent}/cmdline").read_text(errors="replace")


# --- an ordinary user ----------------------------------------------------------------------------


def test_an_ordinary_users_containers(as_user: Pybuild) -> None:
    as_user.base()
    sleeper(as_user, "one", "-e", "A=1")
    look = f"id -u; echo $A; {SAME}"
    first = as_user("exec", "one", "sh", "-c", look)
    assert first.startswith("0\n1\n")
    inside = as_user("exec", "one", "sh", "-c", "for n in mnt pid ipc uts user; do readlink /proc/2/ns/$n; done")
    assert all(line in first.splitlines() for line in inside.splitlines())
    assert as_user("exec", "-u", "alice", "one", "id", "-u") == "1000\n"
    assert as_user.try_("exec", "one", "sh", "-c", "exit 9").returncode == 9
    as_user("exec", "-d", "one", "touch", "/made")
    wait_for(lambda: as_user.try_("exec", "one", "test", "-e", "/made").returncode == 0)
    assert as_user("stop", "one") == "one\n"
    assert as_user("start", "one") == "one\n"
    assert as_user("exec", "one", "ls", "/made") == "/made\n"
    as_user("kill", "one")
    assert as_user("wait", "one") == "137\n"
    as_user("rm", "one")
    assert as_user("ps", "-aq") == ""
    wait_for(lambda: not processes_of(as_user.root))
