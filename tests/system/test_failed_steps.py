"""What a step that failed leaves: its files, entered by a shell, and its log."""

from __future__ import annotations

import errno
import json
import os
import pty
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.program import Pybuild

FAILS = """\
FROM base
ENV COLOUR=blue
WORKDIR /work
RUN echo below > below && chown 1000:1000 .
USER 1000:1000
RUN echo half > done && echo told && exit 3
"""


def failing(pybuild: Pybuild, text: str = FAILS, *arguments: str) -> str:
    pybuild.base()
    built = pybuild.build(text, *arguments)
    assert built.status == 1, built.err
    return built.err


def kept(pybuild: Pybuild) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(pybuild("shell", "--failed", "--list", "--format", "json"))
    return found


def failed(pybuild: Pybuild, script: str, *arguments: str) -> str:
    return pybuild("shell", "--failed", *arguments, "-c", script)


def test_a_shell_sees_what_the_step_left(pybuild: Pybuild) -> None:
    err = failing(pybuild)
    assert f"pybuild --root {pybuild.root} shell --failed" in err
    assert failed(pybuild, "cat below done; id -u; id -g; pwd; echo $COLOUR $0") == (
        "below\nhalf\n1000\n1000\n/work\nblue /bin/sh\n"
    )


def test_before_is_the_state_the_step_found(pybuild: Pybuild) -> None:
    failing(pybuild)
    assert failed(pybuild, "ls; touch new", "--before") == "below\n"
    assert failed(pybuild, "ls", "--before") == "below\n", "what is done there is thrown away"
    assert failed(pybuild, "ls; touch new") == "below\ndone\n"
    assert failed(pybuild, "ls") == "below\ndone\nnew\n", "what is done there stays"


def test_it_reads_what_it_is_given_and_ends_as_the_command_does(pybuild: Pybuild) -> None:
    failing(pybuild)
    done = pybuild.try_("shell", "--failed", input=b"cat done\nexit 9\n")
    assert (done.returncode, done.stdout) == (9, "half\n")
    assert pybuild("shell", "--failed", "--", "echo", "-c", "a b") == "-c a b\n"
    assert pybuild("shell", "--failed", "-e", "COLOUR=red", "--", "env").count("COLOUR=red\n") == 1


def test_a_terminal_is_passed_on(pybuild: Pybuild) -> None:
    failing(pybuild)
    main, other = pty.openpty()
    process = subprocess.Popen(
        pybuild.command("shell", "--failed"), stdin=other, stdout=other, stderr=other, start_new_session=True
    )
    os.close(other)
    os.write(main, b"tty; echo got-$(cat done)\nexit 5\n")
    seen = b""
    try:
        while data := os.read(main, 4096):
            seen += data
    except OSError as error:
        assert error.errno == errno.EIO
    os.close(main)
    assert process.wait(60) == 5
    assert b"/dev/pts/" in seen
    assert b"got-half" in seen


@pytest.mark.parametrize("assembler", ["fuse-overlayfs", "copy"])
def test_without_overlayfs_too(pybuild: Pybuild, assembler: str) -> None:
    other = replace(pybuild, env={"PYBUILD_ASSEMBLER": assembler})
    failing(other, FAILS.replace("echo half", "rm below; echo half"), "--on-fail-export", "/work:got")
    assert failed(other, "ls; cat done; touch new") == "done\nhalf\n"
    assert failed(other, "ls") == "done\nnew\n"
    assert failed(other, "ls", "--before") == "below\n"
    assert os.listdir(other.work / "got") == ["done"]


def test_an_ordinary_user_too(as_user: Pybuild) -> None:
    failing(as_user)
    assert failed(as_user, "cat below done; id -u") == "below\nhalf\n1000\n"
    assert failed(as_user, "ls", "--before") == "below\n"
    as_user.build("FROM base\nRUN false\n", "--keep-failed", "0")
    assert kept(as_user) == []


def test_the_newest_are_kept(pybuild: Pybuild) -> None:
    pybuild.base()
    for number in range(3):
        pybuild.build(f"FROM base\nRUN exit 1{number}\n", "--keep-failed", "2")
    assert [step["ExitCode"] for step in kept(pybuild)] == [12, 11]
    assert len(os.listdir(pybuild.root / "failed")) == 2
    built = pybuild.build("FROM base\nRUN exit 1\n", "--keep-failed", "0")
    assert "shell --failed" not in built.err
    assert kept(pybuild) == []
    done = pybuild.try_("shell", "--failed", "-c", "true")
    assert done.returncode == 125
    assert "no failed step is kept" in done.stderr


def test_it_is_found_by_its_build(pybuild: Pybuild) -> None:
    failing(pybuild, "FROM base\nRUN echo first > /it; false\n")
    (first,) = kept(pybuild)
    failing(pybuild, "FROM base\nRUN echo second > /it; false\n")
    assert failed(pybuild, "cat /it") == "second\n"
    assert failed(pybuild, "cat /it", str(first["Build"])) == "first\n"
    assert failed(pybuild, "cat /it", str(first["ID"])) == "first\n"
    assert pybuild.try_("shell", "--failed", "nothing").returncode == 125


def test_the_shell_is_the_files_own(pybuild: Pybuild) -> None:
    failing(pybuild, 'FROM base\nSHELL ["/bin/ash", "-e", "-c"]\nRUN false\n')
    assert pybuild.try_("shell", "--failed", "-c", "false; echo not reached").stdout == ""
    assert failed(pybuild, "echo $0") == "/bin/ash\n"


def test_without_a_shell_a_program_must_be_named(pybuild: Pybuild) -> None:
    pybuild.base()
    pybuild.build('FROM base AS b\nFROM scratch\nCOPY --from=b /bin/busybox /busybox\nRUN ["/busybox", "false"]\n')
    done = pybuild.try_("shell", "--failed", "-c", "true")
    assert done.returncode == 125
    assert "there is no shell: no /bin/sh, /bin/bash" in done.stderr
    assert pybuild("shell", "--failed", "--", "/busybox", "echo", "works") == "works\n"


def test_secrets_are_asked_for_again_and_never_kept(pybuild: Pybuild) -> None:
    pybuild.base()
    pybuild.file("token", "s3cr3t-value")
    mounts = "--mount=type=secret,id=t,env=TOKEN --mount=type=secret,id=t"
    text = f"FROM base\nRUN {mounts} cat /run/secrets/t >/dev/null; false\n"
    pybuild.build(text, "--secret", "id=t,src=token", "--build-arg", "http_proxy=http://user:proxy-word@p")
    script = "echo ${TOKEN-none}; cat /run/secrets/t 2>/dev/null || echo nothing; echo ${http_proxy-direct}"
    done = pybuild.try_("shell", "--failed", "-c", script)
    assert done.stdout == "none\nnothing\ndirect\n"
    assert "the step was given --secret id=t, which this shell is not" in done.stderr
    assert failed(pybuild, script, "--secret", "id=t,src=token").startswith("s3cr3t-value\ns3cr3t-value")
    found = subprocess.run(
        ["grep", "-rlaE", "s3cr3t-value|proxy-word", str(pybuild.root)], capture_output=True, text=True, check=False
    )
    assert found.stdout == ""


def test_mounts_are_there_again(pybuild: Pybuild) -> None:
    pybuild.base()
    pybuild.file("src/a", "from the context")
    pybuild.build(
        "FROM base AS other\nRUN echo from the stage > /file\nFROM base\n"
        "RUN --mount=type=bind,source=src,target=/src --mount=type=bind,from=other,source=file,target=/file "
        "--mount=type=cache,target=/cache --mount=type=tmpfs,target=/t <<EOT\necho cached > /cache/c; exit 1\nEOT\n"
    )
    pybuild.file("src/a", "changed since")
    script = "cat /src/a; echo; cat /file /cache/c; grep -c ' /t tmpfs ' /proc/mounts"
    wanted = "from the context\nfrom the stage\ncached\n1\n"
    assert failed(pybuild, script) == wanted
    assert failed(pybuild, script, "--before") == wanted


def test_the_network_is_the_steps(pybuild: Pybuild) -> None:
    failing(pybuild, "FROM base\nRUN --network=none false\n")
    assert failed(pybuild, "ls /sys/class/net") == "lo\n"


def test_its_layers_outlive_collection(pybuild: Pybuild) -> None:
    failing(pybuild)
    pybuild("rmi", "--force", "base")
    with closing(sqlite3.connect(pybuild.root / "pybuild.db")) as db, db:
        db.execute("DELETE FROM records")
    pybuild("import", "-", "other", input=b"\0" * 10240)
    pybuild("rmi", "other")
    assert failed(pybuild, "cat below done") == "below\nhalf\n"


def test_a_kill_while_it_is_kept_leaves_nothing(pybuild: Pybuild) -> None:
    pybuild.base()
    built = pybuild.build(FAILS, PYBUILD_POINT="failed:ready=kill")
    assert built.status != 0
    assert kept(pybuild) == []
    pybuild.build("FROM base\nRUN true\n")
    assert not [name for name in os.listdir(pybuild.root / "tmp") if name.startswith("active-")]


def test_one_writes_at_a_time(pybuild: Pybuild) -> None:
    failing(pybuild)
    first = pybuild.start("shell", "--failed", "-c", "touch /tmp/in; sleep 1000")
    try:
        upper = next((pybuild.root / "failed").iterdir()) / "upper"
        while not (upper / "tmp/in").exists():
            assert first.poll() is None
            time.sleep(0.02)
        second = pybuild.try_("shell", "--failed", "-c", "true")
        assert second.returncode == 125
        assert "a shell is in this step already" in second.stderr
        assert failed(pybuild, "cat below", "--before") == "below\n"
        pybuild.build("FROM base\nRUN false\n", "--keep-failed", "0")
        assert (upper / "tmp/in").exists(), "what is in use is not removed"
    finally:
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=60)
    assert first.returncode == 143


def test_what_succeeds_or_is_canceled_is_not_kept(pybuild: Pybuild) -> None:
    pybuild.base()
    pybuild.file("Buildfile", "FROM base\nRUN touch /x\nRUN echo begun; sleep 1000\n")
    build = pybuild.start("build", "--progress", "plain", ".")
    assert build.stderr is not None
    for line in build.stderr:
        if line.endswith(b" begun\n"):
            break
    build.send_signal(signal.SIGINT)
    build.communicate(timeout=60)
    assert build.returncode == 130
    assert kept(pybuild) == []


# --- logs ----------------------------------------------------------------------------------------


def test_the_log_of_the_step_that_failed(pybuild: Pybuild) -> None:
    err = failing(pybuild, "FROM base\nRUN echo fine\nRUN seq 1 1000; exit 1\n", "--progress", "quiet")
    (build,) = json.loads(pybuild("logs", "--list", "--format", "json"))
    assert f"pybuild --root {pybuild.root} logs {build['id']} 3 prints its whole output" in err
    whole = "".join(f"{n}\n" for n in range(1, 1001))
    assert pybuild("logs") == whole
    assert pybuild("logs", "last", "3") == whole
    assert pybuild("logs", "last", "Buildfile:2") == "fine\n"
    assert pybuild("logs", "last", "RUN echo") == "fine\n"
    assert pybuild("logs", "last").startswith("==> 2 [2/3] RUN echo fine <==\nfine\n==> 3 ")


def test_builds_and_steps_are_listed(pybuild: Pybuild) -> None:
    failing(pybuild)
    (build,) = json.loads(pybuild("logs", "--list", "--format", "json"))
    assert [(s["number"], s["state"]) for s in build["steps"]] == [
        (1, "cached"),
        (2, "done"),
        (3, "done"),
        (4, "failed"),
    ]
    assert build["buildfile"] == "Buildfile"
    assert build["id"] in pybuild("logs", "--list")
    assert "RUN echo half" in pybuild("logs", "--list", build["id"])
    assert pybuild("logs", build["id"][:10], "4") == "told\n"
    (step,) = kept(pybuild)
    assert step["ID"] == f"{build['id']}-4"


def test_a_build_that_runs_nothing_leaves_no_log(pybuild: Pybuild) -> None:
    pybuild.base()
    pybuild.build("FROM base\nRUN echo x\n").ok()
    pybuild.build("FROM base\nRUN echo x\n").ok()
    assert len(json.loads(pybuild("logs", "--list", "--format", "json"))) == 1
    done = pybuild.try_("logs")
    assert done.returncode == 4
    assert "failed" in done.stderr


@pytest.mark.parametrize("words", [("nothing",), ("last", "99"), ("last", "no such step")])
def test_what_there_is_no_log_of(pybuild: Pybuild, words: tuple[str, ...]) -> None:
    failing(pybuild)
    assert pybuild.try_("logs", *words).returncode == 4


def test_a_name_of_several_steps_is_refused(pybuild: Pybuild) -> None:
    failing(pybuild)
    done = pybuild.try_("logs", "last", "RUN")
    assert done.returncode == 2
    assert "means several steps: 3 (" in done.stderr


def test_a_log_has_a_largest_size(pybuild: Pybuild) -> None:
    failing(
        pybuild,
        "FROM base\nRUN echo first; yes $(seq 2000) | head -c 20000000; echo; echo last; exit 1\n",
        "--progress",
        "quiet",
    )
    (log,) = Path(pybuild.root / "logs").glob("*-2.log")
    assert log.stat().st_size < (16 << 20) + 200
    text = pybuild("logs")
    assert text.startswith("first\n1 2 3 ")
    assert text.endswith("\nlast\n")
    assert "[pybuild: 3222796 bytes are left out here]" in text
