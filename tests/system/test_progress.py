"""How the real program shows its work: in terminals of any size, that change it, or go away; in pipes; to programs."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.program import Pybuild
from tests.support.window import Window

# Its controlling terminal is its standard input: it hears of it when that hangs up.
IN_A_TERMINAL = "import os, sys; os.login_tty(0); os.execvp(sys.argv[1], sys.argv[1:])"
SIDE_BY_SIDE = """\
FROM base AS a
RUN echo first; sleep 0.5; echo second
FROM base AS b
RUN for i in 1 2 3 4 5 6 7 8 9; do echo line $i; done; sleep 0.8
FROM base
COPY --from=a /bin/sh /a
COPY --from=b /bin/sh /b
"""
FAILS = """\
FROM base AS a
RUN echo before; sleep 0.1; seq 1 100; exit 3
FROM base AS b
RUN for i in 1 2 3 4 5 6 7 8 9; do sleep 0.05; echo $i; done
FROM base
COPY --from=a /bin/sh /a
COPY --from=b /bin/sh /b
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Pybuild:
    program = Pybuild(tmp_path_factory.mktemp("progress") / "store", tmp_path_factory.mktemp("work"))
    program.base()
    return program


@pytest.fixture
def based(shared: Pybuild, tmp_path: Path) -> Pybuild:
    """The program on a store with a base, in a directory of the test's own."""
    return Pybuild(shared.root, tmp_path)


@contextmanager
def started(program: Pybuild, window: Window, *arguments: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """The program in a window."""
    process = subprocess.Popen(
        [sys.executable, "-c", IN_A_TERMINAL, *program.command(*arguments)],
        cwd=program.work,
        env={**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **env},
        stdin=window.slave,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def has(*parts: str) -> Callable[[str], bool]:
    return lambda text: all(part in text for part in parts)


# --- terminals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 40])
def test_a_build_in_a_terminal(based: Pybuild, columns: int) -> None:
    based.file("Buildfile", SIDE_BY_SIDE)
    with (
        Window(columns, 16) as window,
        started(based, window, "build", "--no-cache", "-t", f"wide:{columns}", ".") as process,
    ):
        text = window.until(has("building 3/7", "    first", "    line 9", "▸ [a 2/2]", "▸ [b 2/2]"))
        assert "2 running" in text
        assert "    line 3\n" not in text, "the last lines alone are shown"
        assert process.wait(60) == 0
        text = window.until(has("cached"))
        assert window.written.count(b"\x1b[?25h") == 1
        rows = text.splitlines()
        assert not [row for row in rows if row.startswith(("▸", "building", "    "))], text
        assert sum(row.startswith("✔ [") for row in rows) == 4
        assert f"tagged wide:{columns}" in rows
        assert any(row.startswith(f"✔ wide:{columns}  sha256:") for row in rows)
        assert "0 of 4 steps cached" in text
        assert all(len(row) < columns for row in rows)


def test_what_failed_is_told_in_a_terminal(based: Pybuild) -> None:
    based.file("Buildfile", "FROM base\nRUN seq 1 100; printf '\\033[2J\\033[31mred\\033[0m\\n'; false\n")
    with Window(80, 60) as window, started(based, window, "build", ".") as process:
        assert process.wait(60) == 1
        text = window.until(has("hint:"))
        assert "✘ [2/2] RUN seq" in text
        assert "  100\n  red\n------\nerror: process" in text
        assert "  81\n" not in text, "its last lines alone: who sits here can ask for more"
        assert "  --> Buildfile:2\n" in text
        assert b"\x1b[2J" not in window.written
        assert b"\x1b[31mred" in window.written


def test_a_terminal_of_ascii_without_colours(based: Pybuild) -> None:
    based.file("Buildfile", "FROM base\nRUN printf 'caf\\303\\251\\n'; sleep 0.5\n")
    env = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "NO_COLOR": "1"}
    with Window(80, 20) as window, started(based, window, "build", "--no-cache", ".", **env) as process:
        assert "> [2/2] RUN printf" in window.until(has("    caf?"))
        assert process.wait(60) == 0
        assert "+ FROM base  CACHED (local)\n" in window.until(has("0 of 1 steps cached"))
        assert window.written.isascii()
        assert not re.search(rb"\x1b\[[0-9;]*m", window.written)


def test_a_dumb_terminal_gets_lines(based: Pybuild) -> None:
    based.file("Buildfile", "FROM base\n")
    with Window(80, 20) as window, started(based, window, "build", ".", TERM="dumb") as process:
        assert process.wait(60) == 0
        assert "#1 FROM base" in window.until(has("built sha256"))
        assert b"\x1b" not in window.written


def test_a_terminal_that_is_resized(based: Pybuild, tmp_path: Path) -> None:
    """Under tmux, which wraps anew what stands there, as most terminals do."""
    based.file("Buildfile", SIDE_BY_SIDE)
    tmux = ["tmux", "-S", str(tmp_path / "t"), "-f", "/dev/null"]

    def do(*arguments: str) -> str:
        done = subprocess.run([*tmux, *arguments], check=True, capture_output=True, encoding="utf-8")
        return done.stdout

    def until(seen: Callable[[str], bool]) -> str:
        deadline = time.monotonic() + 30
        while not seen(text := do("capture-pane", "-p", "-S", "-")) and time.monotonic() < deadline:
            time.sleep(0.05)
        return text

    command = ["env", "LC_ALL=C.UTF-8", *based.command("build", "--no-cache", "-t", "resized", "."), ";", "cat"]
    do("-u", "new-session", "-d", "-x", "100", "-y", "30", "-c", str(based.work), " ".join(command))
    try:
        until(has("building 3/7", "line 9"))
        do("resize-window", "-x", "45", "-y", "30")
        narrow = until(has("8… "))
        do("resize-window", "-x", "90", "-y", "12")
        text = until(has("0 of 4 steps cached"))
    finally:
        do("kill-server")
    assert "▸ [b 2/2] RUN for i in 1 2 3 4 5 6 7 8… " in narrow, "what is live has the new width at once"
    assert max(map(len, narrow.splitlines())) <= 45
    rows = [row for row in text.splitlines() if row]
    assert rows[-3:-1] == ["tagged resized:latest", next(row for row in rows if row.startswith("✔ resized:latest"))]
    assert not [row for row in rows[rows.index("tagged resized:latest") - 1 :] if row.startswith(("▸", "building"))]


def test_a_terminal_that_hangs_up_ends_the_build(based: Pybuild) -> None:
    based.file("Buildfile", "FROM base\nRUN echo begun; exec sleep 987654\n")
    with Window(80, 20) as window, started(based, window, "build", ".") as process:
        window.until(has("    begun"))
        window.hang_up()
        assert process.wait(60) == 128 + signal.SIGHUP
    assert not any("987654" in line for line in commands())


def test_a_build_goes_on_without_its_terminal_if_it_is_to(based: Pybuild) -> None:
    based.file("Buildfile", "FROM base\nRUN echo begun; sleep 0.3; echo more\n")
    env = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    program = Pybuild(based.root, based.work, ("sh", "-c", 'trap "" HUP; exec pybuild "$@"', "sh"))
    with Window(80, 20) as window, started(program, window, "build", "--no-cache", "-t", "on", ".", **env) as process:
        window.until(has("    begun"))
        window.hang_up()
        process.wait(60)
    assert "on:latest" in based("images", "--format", "{{.Repository}}:{{.Tag}}")


def commands() -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().decode(errors="replace"))
        except OSError:  # it has just ended
            continue
    return found


# --- pipes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "tty", "rawjson"])
def test_a_pipe_that_is_closed_early_ends_quietly(based: Pybuild, kind: str) -> None:
    based.file("Buildfile", "FROM base\nRUN echo 1; sleep 0.2; echo 2; sleep 0.1; echo 3\n")
    process = based.start("build", "--no-cache", "--progress", kind, ".")
    assert process.stderr is not None and process.stdout is not None
    first = process.stderr.readline() or b"nothing"
    process.stderr.close()
    said = process.stdout.read()
    process.stdout.close()
    assert (process.wait(60), said, first != b"nothing") == (1, b"", True)


def test_all_that_failed_is_told_last(based: Pybuild) -> None:
    whole = "------\n  before\n" + "".join(f"  {n}\n" for n in range(1, 101)) + "------\nerror: process"
    plain = based.build(FAILS)
    assert plain.status == 1
    assert plain.err.count("#") > 100, "it was told meanwhile, too"
    assert whole in plain.err
    assert "  --> Buildfile:2\n  2 | RUN echo before" in plain.err.split("error: ")[-1]
    done = based.try_("build", "--progress", "quiet", "--target", "a", ".")
    assert done.stdout == ""
    assert done.stderr.startswith(whole)


def test_a_log_that_stands_there_is_not_told_again(based: Pybuild) -> None:
    err = based.build("FROM base\nRUN echo once; false\n").err
    assert len(re.findall("^.* once$", err, re.MULTILINE)) == 1


def test_steps_cannot_do_anything_to_who_looks_on(based: Pybuild) -> None:
    text = "FROM base\nRUN printf '\\033]0;mine\\007\\033[2Jone\\r50%%\\r100%%\\n\\377\\302\\233H\\n'\n"
    err = based.build(text, "--no-cache").ok().err
    printed = [line.split(" ", 2)[2] for line in err.splitlines() if re.match(r"#2 [0-9]+\.", line)]
    assert printed == ["100%", "\\xff"]
    assert "\x1b" not in err
    assert "\x1b]0;mine\x07\x1b[2Jone\r50%\r100%\n" in based("logs", "last", "2")


def test_quiet_prints_the_id_alone_and_none_nothing(based: Pybuild) -> None:
    based.file("Buildfile", "FROM base\nRUN echo quiet\n")
    for _ in range(3):  # run, cached, known
        done = based.try_("build", "--progress", "quiet", ".")
        assert (done.returncode, done.stderr) == (0, "")
        assert re.fullmatch("sha256:[0-9a-f]{64}\n", done.stdout)
    done = based.try_("build", "--progress", "none", ".")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- CI, and programs ----------------------------------------------------------------------------


def test_services_fold_what_they_are_told(based: Pybuild) -> None:
    based.file("Buildfile", "FROM base\nRUN echo '::error::mine'\nRUN false\n")
    github = based.try_("build", "--no-cache", ".", GITHUB_ACTIONS="true")
    assert "::group::#2 [2/3] RUN echo" in github.stderr
    assert "::endgroup::\n#2 DONE" in github.stderr
    assert "\n::error file=Buildfile,line=3::process" in github.stderr
    assert len(re.findall("^ *::error", github.stderr, re.MULTILINE)) == 1
    gitlab = based.try_("build", "--no-cache", ".", GITLAB_CI="true")
    assert re.search("\x1b\\[0Ksection_start:[0-9]+:pybuild_1_step_2\r\x1b\\[0K#2 ", gitlab.stderr)
    plain = based.try_("build", "--fold", "none", ".", GITHUB_ACTIONS="true")
    assert "::" not in plain.stderr.replace("'::error::mine'", "")


def test_lines_have_times_on_request(based: Pybuild) -> None:
    based.file("Buildfile", "FROM base\nRUN echo timed\n")
    for _ in range(2):  # that it is known must not count
        done = based.try_("build", "--timestamps", ".")
        lines = [line for line in done.stderr.splitlines() if line]
        assert all(re.match(r"20..-..-..T..:..:..\....Z [#btw0-9]", line) for line in lines), lines


def statuses(program: Pybuild, *options: str) -> tuple[int, list[dict[str, Any]], str]:
    """The status, the lines of JSON, and what follows them."""
    done = program.try_("build", "--progress=rawjson", *options, ".")
    lines = done.stderr.splitlines()
    told = [json.loads(line) for line in lines if line.startswith("{")]
    return done.returncode, told, "\n".join(line for line in lines if not line.startswith("{"))


def test_programs_are_told_in_json(based: Pybuild) -> None:
    based.file("Buildfile", "FROM base\nRUN echo told\n")
    for cached in (False, True, True):
        status, lines, rest = statuses(based, "-t", "told")
        assert (status, rest) == (0, "")
        ended: dict[str, Any] = {}
        for line in lines:
            assert set(line) <= {"vertexes", "statuses", "logs", "warnings"}
            ended |= {vertex["name"]: vertex for vertex in line.get("vertexes", ())}
        assert all(vertex.get("completed") for vertex in ended.values())
        assert bool(ended["[2/2] RUN echo told"].get("cached")) == cached
        logs = [log for line in lines for log in line.get("logs", ())]
        assert [base64.b64decode(log["data"]) for log in logs] == ([] if cached else [b"told\n"])
        done = [status["id"] for line in lines for status in line.get("statuses", ())]
        assert "tagged told:latest" in done
        assert any(text.startswith("writing image sha256:") for text in done)


def test_programs_are_told_of_failures(based: Pybuild) -> None:
    based.file("Buildfile", "FROM base\nRUN exit 7\n")
    status, lines, rest = statuses(based)
    (failed,) = [vertex for line in lines for vertex in line.get("vertexes", ()) if vertex.get("error")]
    assert (status, failed["name"]) == (1, "[2/2] RUN exit 7")
    assert rest.startswith("error: process")
    based.file("Buildfile", "FROM base\nRNU x\n")
    status, lines, rest = statuses(based)
    assert (status, lines[-1]["vertexes"][0]["error"]) == (3, "unknown instruction: RNU")
