"""`run`: an image as a container. What it sees, how it ends, what it leaves; `ps` and `rm`."""

from __future__ import annotations

import hashlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from tests.support.program import Pybuild
from tests.support.tree import tree
from tests.support.waiting import PATIENCE, wait_for


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a base of busybox."""
    directory = tmp_path_factory.mktemp("run")
    pybuild = Pybuild(directory / "store", directory)
    pybuild.base()
    return pybuild.root


@pytest.fixture
def based(store: Path, tmp_path: Path) -> Iterator[Pybuild]:
    """The program on that store; a test leaves no container, nothing half made and no mount there."""
    pybuild = Pybuild(store, tmp_path)
    yield pybuild
    containers = [path.name for path in (store / "containers").iterdir()]
    for name in containers:
        pybuild.try_("rm", name)
    assert not containers
    assert not list((store / "tmp").iterdir())
    assert str(store) not in Path("/proc/self/mountinfo").read_text()


def sleepers(marker: str) -> list[int]:
    """The processes of this machine, in whatever container, that sleep for `marker` seconds."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == f"sleep\0{marker}\0".encode():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.fixture
def marker() -> str:
    """A number of seconds no other process sleeps."""
    return f"86400.{os.getpid()}{time.monotonic_ns() % 1_000_000:06}"


@contextmanager
def started(pybuild: Pybuild, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """`run` in the background."""
    process = pybuild.start("run", *arguments)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def sleeping(pybuild: Pybuild, marker: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """A container that sleeps, waited for until it does."""
    with started(pybuild, *options, "base", "sleep", marker) as process:
        wait_for(lambda: sleepers(marker) or process.poll() is not None)
        yield process


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """The status and standard error of a started program."""
    _, err = process.communicate(timeout=PATIENCE)
    return process.returncode, err.decode()


# --- what it sees --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "script", "expected"),
    [
        (("-e", "A=1", "-e", "B=two words", "-e", "C", "-e", "NOT_SET"), 'echo "$A,$B,$C,${NOT_SET-none}"',
         "1,two words,from outside,none\n"),
        (("-e", "PATH=/bin", "-e", "HOME=/elsewhere"), "echo $PATH $HOME", "/bin /elsewhere\n"),
        ((), "id -u; id -g; echo $HOME", "0\n0\n/root\n"),
        (("-u", "alice"), "id -u; id -g; id -G; echo $HOME", "1000\n1000\n1000 50\n/home/alice\n"),
        (("-u", "alice:staff"), "id -u; id -g", "1000\n50\n"),
        (("-u", "12:34"), "id -u; id -g; echo $HOME", "12\n34\n/\n"),
        (("-w", "/etc"), "pwd", "/etc\n"),
        (("-w", "/made/for/it"), "pwd; stat -c %u:%a .", "/made/for/it\n0:755\n"),
        (("-h", "box"), "hostname; cat /etc/hostname; grep -c box /etc/hosts; echo $HOSTNAME", "box\nbox\n1\nbox\n"),
        ((), "hostname | grep -Ec '^[0-9a-f]{12}$'; test $(hostname) = $HOSTNAME && echo same", "1\nsame\n"),
        ((), "echo $$ $PPID; ls /proc | grep -c '^[0-9]'", "2 1\n4\n"),  # init, the shell, ls and grep
        ((), "grep -E 'CapEff|NoNewPrivs' /proc/self/status", "CapEff:\t00000000a80425fb\nNoNewPrivs:\t0\n"),
        (("--network", "none"), "ls /sys/class/net; ip -o link | wc -l", "lo\n1\n"),
        (("--read-only",), "touch /x /tmp/x 2>&1 | grep -c 'Read-only file system'; touch /dev/shm/x", "2\n"),
        (("--read-only", "-w", "/home"), "pwd", "/home\n"),
    ],
)  # fmt: skip
def test_options(based: Pybuild, options: tuple[str, ...], script: str, expected: str) -> None:
    assert based("run", "--rm", *options, "base", "sh", "-c", script, C="from outside") == expected


@pytest.mark.parametrize(("network", "shared"), [("host", True), ("default", False), ("none", False)])
def test_networks(based: Pybuild, network: str, shared: bool) -> None:
    """An answer from a server of this machine's loopback comes through only where the network is the machine's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = f"nc -w 5 127.0.0.1 {port} < /dev/null"
        with started(based, "--rm", "--network", network, "base", "sh", "-c", script) as process:
            if shared:
                server.settimeout(PATIENCE)
                connection, _ = server.accept()
                with connection:
                    connection.sendall(b"reached")
            out, err = process.communicate(timeout=PATIENCE)
    assert out == (b"reached" if shared else b""), err
    assert (process.returncode == 0) == shared


def test_the_command_is_the_images_or_the_users(based: Pybuild) -> None:
    based.build('FROM base\nENTRYPOINT ["echo", "entry"]\nCMD ["cmd"]\nENV E=image\nWORKDIR /home\n', "-t", "app").ok()
    assert based("run", "--rm", "app") == "entry cmd\n"
    assert based("run", "--rm", "app", "own", "-e", "--rm") == "entry own -e --rm\n"
    assert based("run", "--rm", "--entrypoint", "pwd", "app") == "/home\n"
    assert based("run", "--rm", "--entrypoint", "", "app", "sh", "-c", "echo $E") == "image\n"
    assert based("run", "--rm", "--entrypoint", "sh", "-e", "E=own", "app", "-c", "echo $E") == "own\n"
    nothing = based.try_("run", "--rm", "--entrypoint", "", "app")
    assert (nothing.returncode, "no command" in nothing.stderr) == (125, True)
    based("rmi", "app")


def test_standard_input_comes_with_i_only(based: Pybuild) -> None:
    data = os.urandom(3_000_000)
    assert based("run", "--rm", "-i", "base", "sha256sum", input=data).split()[0] == hashlib.sha256(data).hexdigest()
    assert based("run", "--rm", "base", "sh", "-c", "wc -c", input=b"not seen") == "0\n"


def test_output_and_errors_stay_apart(based: Pybuild) -> None:
    done = based.try_("run", "--rm", "base", "sh", "-c", "echo out; echo err >&2")
    assert (done.stdout, done.stderr) == ("out\n", "err\n")


def test_volumes(based: Pybuild) -> None:
    shared = based.work / "shared"
    shared.mkdir()
    based.file("shared/in", "in")
    based.file("one-file", "one")
    volumes = ("-v", f"{shared}:/a", "-v", "./shared:/b:ro", "-v", f"{based.work}/one-file:/etc/one:ro",
               "-v", f"{based.work}/made:/deep/in/it:rw")  # fmt: skip
    script = "cat /a/in /b/in /etc/one; echo out > /a/out; cat /b/out; touch /b/x /etc/one; touch /deep/in/it/new"
    done = based.try_("run", "--rm", "--read-only", *volumes, "base", "sh", "-c", script)
    assert done.stdout == "ininoneout\n"
    assert done.stderr.count("Read-only file system") == 2
    assert sorted(os.listdir(shared)) == ["in", "out"]
    assert os.listdir(based.work / "made") == ["new"]


def test_a_volume_over_what_the_image_has(based: Pybuild) -> None:
    """The image's own directory is hidden; a symlink of the image cannot lead the mount out of it."""
    based.build("FROM base\nRUN mkdir /data && touch /data/old && ln -s /../../data /link\n", "-t", "app").ok()
    based.file("dir/new", "")
    assert based("run", "--rm", "-v", "./dir:/data", "app", "ls", "/data") == "new\n"
    assert based("run", "--rm", "-v", "./dir:/link", "app", "ls", "/data") == "new\n"
    root = based.try_("run", "--rm", "-v", "./dir:/", "base", "ls")
    assert (root.returncode, "it is the root" in root.stderr) == (125, True)
    based("rmi", "app")


# --- how it ends ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("base", "true"), 0, ""),
        (("base", "false"), 1, ""),
        (("base", "sh", "-c", "exit 7"), 7, ""),
        (("base", "sh", "-c", "exit 255"), 255, ""),
        (("base", "sh", "-c", "kill -9 $$"), 137, ""),
        (("base", "sh", "-c", "kill -SEGV $$"), 139, ""),
        (("base", "no-such-program"), 127, 'exec: "no-such-program": executable file not found in $PATH'),
        (("base", "/no/such/program"), 127, "No such file or directory"),
        (("base", "/etc/passwd"), 126, "Permission denied"),
        (("base", "/etc"), 126, "Permission denied"),
        (("-w", "/etc/passwd", "base", "true"), 125, "/etc/passwd"),
        (("nothing:here",), 125, "nothing:here"),
        (("--no-such-option", "base"), 125, "--no-such-option"),
        (("-u", "nobody-knows", "base", "true"), 125, "unable to find user nobody-knows"),
        (("--network", "bridge", "base", "true"), 125, "bridge"),
    ],
)
def test_the_exit_status(based: Pybuild, arguments: tuple[str, ...], status: int, message: str) -> None:
    done = based.try_("run", "--rm", *arguments)
    assert done.returncode == status, done.stderr
    assert message in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT], ids=lambda s: s.name)
def test_a_signal_ends_the_command(based: Pybuild, number: signal.Signals, marker: str) -> None:
    with sleeping(based, marker, "--rm") as process:
        process.send_signal(number)
        assert ended(process) == (128 + number, "")
    assert not sleepers(marker)


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2], ids=lambda s: s.name
)
def test_a_command_may_answer_a_signal(based: Pybuild, number: signal.Signals) -> None:
    script = f"trap 'echo got it; exit 5' {number.name.removeprefix('SIG')}; echo ready; while :; do sleep 0.05; done"
    with started(based, "--rm", "base", "sh", "-c", script) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        out, _ = process.communicate(timeout=PATIENCE)
        assert (process.returncode, out) == (5, b"got it\n")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"])
def test_a_signal_is_never_lost(based: Pybuild, number: signal.Signals, status: int, marker: str) -> None:
    """At whatever moment of the start it comes."""
    for delay in range(0, 60, 6):
        with started(based, "--rm", "base", "sleep", marker) as process:
            wait_for(lambda: list((based.root / "containers").iterdir()))
            time.sleep(delay / 1000)
            process.send_signal(number)
            assert ended(process)[0] == status, f"{delay} ms after the container was made"
        assert not sleepers(marker)
        assert not list((based.root / "containers").iterdir())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda s: s.name)
def test_a_signal_at_the_end_does_no_harm(based: Pybuild, number: signal.Signals) -> None:
    """It comes before the command ends, or too late; either way all is cleared away."""
    for delay in range(0, 60, 6):
        with started(based, "--rm", "base", "sh", "-c", "echo end") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"end\n"
            time.sleep(delay / 1000)
            process.send_signal(number)
            status, err = ended(process)
            assert status in (0, 128 + number, -number), err
            assert err.strip() in ("", "pybuild: canceled")
            assert not list((based.root / "containers").iterdir())


def test_what_the_command_left_running_ends_with_it(based: Pybuild, marker: str) -> None:
    assert based.shell("base", f"sleep {marker} & setsid sleep {marker} & echo done") == "done\n"
    assert not sleepers(marker)


# --- what it leaves ------------------------------------------------------------------------------


def test_only_the_top_is_writable(based: Pybuild) -> None:
    before = tree(based.root / "snapshots"), tree(based.root / "blobs")
    look = "cat /etc/passwd | wc -l; stat -c %a:%h /etc/group; echo $(ls /)"
    change = (
        "echo x > /etc/passwd; chmod 700 /etc/group; rm -r /home; mkdir /new; chown 5 /bin/busybox; ln /etc/group /g"
    )
    assert based.shell("base", look) == "2\n644:1\nbin dev etc home proc sys tmp\n"
    assert based.shell("base", f"{change}; {look}") == "1\n700:2\nbin dev etc g new proc sys tmp\n"
    assert based.shell("base", look) == "2\n644:1\nbin dev etc home proc sys tmp\n"
    assert (tree(based.root / "snapshots"), tree(based.root / "blobs")) == before


def test_a_container_is_kept_without_rm(based: Pybuild) -> None:
    done = based.try_("run", "--name", "one", "base", "sh", "-c", "echo kept > /file; exit 3")
    assert done.returncode == 3
    (row,) = json.loads(based("ps", "-a", "--format", "json"))
    found = row["container"]
    assert (found["name"], found["image"], found["status"], row["running"]) == ("one", "base", 3, False)
    assert found["command"] == ["sh", "-c", "echo kept > /file; exit 3"]
    assert found["ended"] >= found["created"]
    upper = based.root / "containers" / found["id"] / "upper"
    assert (upper / "file").read_text() == "kept\n"
    assert not list((upper / "etc").iterdir()), "what was only shown to it is no change of its own"
    assert based("ps", "-aq") == f"{found['id'][:12]}\n"
    assert based("ps", "-q") == ""
    assert re.search(
        r'^[0-9a-f]{12} +base +"sh -c .*…" +\S.* ago +Exited \(3\) .* ago +one$', based("ps", "-a"), re.MULTILINE
    )
    assert based("rm", found["id"][:6]) == f"{found['id'][:6]}\n"
    assert based.try_("rm", "one").returncode == 4


def test_a_name_is_given_once(based: Pybuild) -> None:
    based("run", "--name", "one", "base", "true")
    again = based.try_("run", "--name", "one", "base", "true")
    assert again.returncode == 125
    assert "the name one is taken by container" in again.stderr
    assert "hint: remove it (pybuild rm one)" in again.stderr
    based("run", "--rm", "--name", "two", "base", "true")
    based("run", "--rm", "--name", "two", "base", "true")
    assert [row["container"]["name"] for row in json.loads(based("ps", "-a", "--format", "json"))] == ["one"]
    based("rm", "one")
    based("run", "--rm", "--name", "one", "base", "true")


def test_a_name_is_free_again_when_the_start_failed(based: Pybuild) -> None:
    assert based.try_("run", "--name", "one", "-u", "nobody-knows", "base", "true").returncode == 125
    assert based("ps", "-aq") == ""
    assert based("run", "--rm", "--name", "one", "base", "echo", "fine") == "fine\n"


def test_a_running_container_is_listed_and_not_removed(based: Pybuild, marker: str) -> None:
    with sleeping(based, marker, "--rm", "--name", "one") as process:
        (row,) = json.loads(based("ps", "--format", "json"))
        assert (row["container"]["name"], row["running"]) == ("one", True)
        assert " Up " in based("ps")
        refused = based.try_("rm", "one")
        assert (refused.returncode, "container one is running" in refused.stderr) == (2, True)
        assert based("run", "--rm", "base", "echo", "beside it") == "beside it\n"
        process.terminate()
        assert ended(process)[0] == 143
    assert based("ps", "-aq") == ""


def test_kill_9_leaves_no_process_and_no_mount(based: Pybuild, marker: str) -> None:
    script = f"sleep {marker} & exec sleep {marker}"
    with started(based, "--rm", "--name", "one", "-v", f"{based.work}:/v", "base", "sh", "-c", script):
        wait_for(lambda: len(sleepers(marker)) == 2)
    wait_for(lambda: not sleepers(marker))
    for mountinfo in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            assert str(based.root) not in mountinfo.read_text(), mountinfo
        except OSError:
            continue  # gone meanwhile
    assert " Dead " in based("ps", "-a")
    assert based("ps", "-q") == ""
    assert based("rm", "one") == "one\n"
    assert based("run", "--rm", "--name", "one", "base", "echo", "again") == "again\n"


# --- a terminal ----------------------------------------------------------------------------------


class Terminal:
    """The program on a terminal of its own, as a user at a keyboard has it."""

    def __init__(self, pybuild: Pybuild, *arguments: str, rows: int = 24, columns: int = 80) -> None:
        self.keyboard, other = os.openpty()
        self.resize(rows, columns)
        self.settings = termios.tcgetattr(other)
        command = ("setsid", "--ctty", *pybuild.command("run", "--rm", *arguments))
        self.process = subprocess.Popen(
            command, cwd=pybuild.work, env={**os.environ, **pybuild.env}, stdin=other, stdout=other, stderr=other
        )
        self._other = other
        self._seen = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.keyboard)
        os.close(self._other)

    def resize(self, rows: int, columns: int) -> None:
        termios.tcsetwinsize(self.keyboard, (rows, columns))

    def type(self, keys: str) -> None:
        os.write(self.keyboard, keys.encode())

    def until(self, text: str) -> str:
        """What is shown up to and with `text`; the rest stays for the next call."""
        deadline = time.monotonic() + PATIENCE
        while text.encode() not in self._seen:
            ready, _, _ = select.select([self.keyboard], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{text!r} is not in {self._seen!r}"
            self._seen += os.read(self.keyboard, 4096)
        shown, _, self._seen = self._seen.partition(text.encode())
        return shown.decode() + text

    def status(self) -> int:
        """How it ended; the terminal must be as it was before."""
        status = self.process.wait(PATIENCE)
        assert termios.tcgetattr(self._other) == self.settings
        return status


@contextmanager
def shell(pybuild: Pybuild, script: str, *options: str, rows: int = 24, columns: int = 80) -> Iterator[Terminal]:
    """A script of a container on a terminal, with -t and -i."""
    with Terminal(pybuild, *(options or ("-it",)), "base", "sh", "-c", script, rows=rows, columns=columns) as terminal:
        yield terminal


def test_a_terminal_of_its_own(based: Pybuild) -> None:
    with shell(based, "tty; stty size; echo $TERM; exit 4", rows=33, columns=111) as terminal:
        assert terminal.until("xterm") == "/dev/pts/0\r\n33 111\r\nxterm"
        assert terminal.status() == 4


def test_a_terminals_user(based: Pybuild) -> None:
    with shell(based, "stat -Lc %u /dev/stdin; : > $(tty) && echo opened", "-it", "-u", "alice") as terminal:
        assert terminal.until("opened") == "1000\r\nopened"
        assert terminal.status() == 0


def test_a_terminals_size_follows(based: Pybuild) -> None:
    with shell(based, "trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done") as terminal:
        terminal.until("ready")
        terminal.resize(50, 132)
        terminal.until("50 132")
        terminal.type("\x03")
        assert terminal.status() == 130


def test_keys_go_through(based: Pybuild) -> None:
    with shell(based, 'echo ready; read line; echo "<$line>"; cat; echo after') as terminal:
        terminal.until("ready\r\n")
        terminal.type("typed\r")
        assert terminal.until("<typed>") == "typed\r\n<typed>"
        terminal.type("copied\r")
        assert terminal.until("copied\r\ncopied\r\n") == "\r\ncopied\r\ncopied\r\n"
        terminal.type("\x04")  # end of input
        assert terminal.until("after") == "after"
        assert terminal.status() == 0


def test_keys_typed_ahead_are_not_lost(based: Pybuild) -> None:
    with shell(based, 'read line; echo "<$line>"') as terminal:
        terminal.type("typed\r")
        terminal.until("<typed>")
        assert terminal.status() == 0


def test_ctrl_c_reaches_the_command_through_its_terminal(based: Pybuild, marker: str) -> None:
    with shell(based, f"trap 'echo interrupted; exit 9' INT; sleep {marker}") as terminal:
        wait_for(lambda: sleepers(marker))
        terminal.type("\x03")
        terminal.until("interrupted")
        assert terminal.status() == 9
    assert not sleepers(marker)


def test_ctrl_c_ends_a_terminal_without_input(based: Pybuild, marker: str) -> None:
    """With -t alone the keys are not the container's; the interrupt must still come through."""
    with shell(based, f"echo ready; exec sleep {marker}", "-t") as terminal:
        terminal.until("ready")
        terminal.type("\x03")
        assert terminal.status() == 130
    assert not sleepers(marker)


def test_sigterm_ends_a_terminal(based: Pybuild, marker: str) -> None:
    with shell(based, f"echo ready; exec sleep {marker}") as terminal:
        terminal.until("ready")
        terminal.process.terminate()
        assert terminal.status() == 143


def test_a_terminal_for_what_has_none(based: Pybuild) -> None:
    """As in a script: -t alone works, -it is refused."""
    assert based("run", "--rm", "-t", "base", "sh", "-c", "tty; echo end") == "/dev/pts/0\r\nend\r\n"
    refused = based.try_("run", "--rm", "-it", "base", "true")
    assert (refused.returncode, "the input device is not a TTY" in refused.stderr) == (125, True)


def test_an_ordinary_users_terminal(as_user: Pybuild) -> None:
    as_user.base()
    script = "tty; id -u; trap 'exit 9' INT; echo ready; while :; do sleep 0.05; done"
    with shell(as_user, script, "-it", "--network", "none") as terminal:
        assert terminal.until("ready") == "/dev/pts/0\r\n0\r\nready"
        terminal.type("\x03")
        assert terminal.status() == 9
