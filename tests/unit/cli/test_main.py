"""The command line itself: which command is meant, how errors look, which status they give."""

from __future__ import annotations

import os
import pickle
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from builder import errors
from builder.cli import main as cli
from builder.cli.report import draw
from builder.cli.words import _GROUPS, COMMANDS, with_default_command
from builder.errors import BuildfileError, NotFoundError, PybuildError, StepFailedError, Where
from tests.support.program import PROGRAM


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    """The program sets handlers as it likes: here it runs inside the tests' own process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory to be in, with a store of its own beside it."""
    path = tmp_path / "work"
    path.mkdir()
    monkeypatch.chdir(path)
    monkeypatch.setenv("PYBUILD_ROOT", str(tmp_path / "store"))
    return path


def status(*words: str) -> int:
    """The exit status of a command line."""
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert isinstance(ended.value.code, int)
    return ended.value.code


# --- which command is meant ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["."], ["build", "."]),
        (["-f", "Buildfile", "."], ["build", "-f", "Buildfile", "."]),
        (["-t", "images", "."], ["build", "-t", "images", "."]),
        (["--tag=x"], ["build", "--tag=x"]),
        (["./sub"], ["build", "./sub"]),
        (["/absolute"], ["build", "/absolute"]),
        (["https://host/x.git"], ["build", "https://host/x.git"]),
        (["there"], ["build", "there"]),  # a directory of that name
        (["images"], ["images"]),  # there is one too, but a command goes first
        (["not-there"], ["not-there"]),
        (["build", "."], ["build", "."]),
        (["run", "there"], ["run", "there"]),
        (["--root", "store", "."], ["--root", "store", "build", "."]),
        (["--root=store", "-t", "x", "."], ["--root=store", "build", "-t", "x", "."]),
        (["--root", "build", "."], ["--root", "build", "build", "."]),
        (["image", "ls", "-q"], ["images", "-q"]),
        (["--root=store", "container", "inspect", "x"], ["--root=store", "inspect", "--type=container", "x"]),
        (["image", "prune"], ["image", "prune"]),
        (["image"], ["image"]),
        (["buildx", "build", "--load", "."], ["build", "--load", "."]),
        (["builder", "prune", "-f"], ["cache", "prune", "-f"]),
        (["--root", "store", "--root", "other", "images"], ["--root", "store", "--root", "other", "images"]),
        (["--root", "store"], ["--root", "store"]),
        (["--root"], ["--root"]),
        (["--root", "store", "--help"], ["--root", "store", "--help"]),
        (["-h"], ["-h"]),
        (["--version"], ["--version"]),
        ([], []),
    ],
)
def test_the_command_that_is_meant(work: Path, words: list[str], meant: list[str]) -> None:
    (work / "there").mkdir()
    (work / "images").mkdir()
    assert with_default_command(words) == meant


def test_dockers_groups_name_commands_that_there_are() -> None:
    meant = [words[0] for group in _GROUPS.values() for words in group.values()]
    assert set(meant) <= set(COMMANDS)


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("biuld", "Did you mean 'build'?"),
        ("imges", "Did you mean 'images'?"),
        ("hist", "Did you mean 'history'?"),
        ("xyzzy", "See pybuild --help."),
    ],
)
def test_a_misspelt_command(work: Path, capsys: pytest.CaptureFixture[str], word: str, hint: str) -> None:
    assert status(word) == 2
    assert f"Error: No such command or directory: '{word}'. {hint}\n" in capsys.readouterr().err


def test_a_misspelt_option(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("build", "--tga", "x", ".") == 2
    shown = capsys.readouterr().err
    assert "No such option" in shown
    assert "'--tag'" in shown


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("--help") == 0
    listed = capsys.readouterr().out
    assert status() == 0
    assert capsys.readouterr().out == listed
    for command in COMMANDS:
        assert f"\n  {command} " in listed


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_it_does(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert status(command, "--help") == 0
    assert capsys.readouterr().out.startswith(f"Usage: pybuild {command} ")


# --- how errors look -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (PybuildError("it failed"), "error: it failed"),
        (PybuildError("it failed", hint="try this"), "error: it failed\n  hint: try this"),
        (
            BuildfileError("no such word", where=Where("Buildfile", 12, 5, "RUN word", 4), hint="use another"),
            "error: no such word\n  --> Buildfile:12:5\n  12 | RUN word\n     |     ^^^^\n  hint: use another",
        ),
        # no column: the whole line is meant
        (BuildfileError("x", where=Where("f", 3, 0, "RUN x")), "error: x\n  --> f:3\n  3 | RUN x"),
        # the line is not known, as in a file that is included from elsewhere
        (BuildfileError("x", where=Where("f", 3, 2)), "error: x\n  --> f:3:2"),
        # a span that goes on in the next line ends with this one
        (
            BuildfileError("x", where=Where("f", 3, 5, "RUN abc", 99)),
            "error: x\n  --> f:3:5\n  3 | RUN abc\n    |     ^^^",
        ),
        # at the end of the line, where something is missing
        (BuildfileError("x", where=Where("f", 3, 4, "RUN", 1)), "error: x\n  --> f:3:4\n  3 | RUN\n    |    ^"),
        (BuildfileError("x", where=Where("f", 1, 1, "", 1)), "error: x\n  --> f:1:1"),
        # tabs stay tabs: the caret stands below its column, however wide they are shown
        (
            BuildfileError("x", where=Where("f", 1, 7, "RUN\ta\tb", 1)),
            "error: x\n  --> f:1:7\n  1 | RUN\ta\tb\n    |    \t \t^",
        ),
        (StepFailedError("it failed", status=1), "error: it failed"),
        (
            StepFailedError("it failed", status=1, log=("one", "two"), where=Where("f", 1, 1, "RUN x", 5)),
            "------\n  one\n  two\n------\nerror: it failed\n  --> f:1:1\n  1 | RUN x\n    | ^^^^^",
        ),
    ],
)
def test_an_error_is_drawn(error: PybuildError, text: str) -> None:
    assert draw(error) == text


def test_the_deepest_place_stays() -> None:
    """Who knew it better set it first; a line of source is added where it was missing."""
    inner, outer = Where("f", 3, 5), Where("f", 3, 1, "RUN abc", 7)
    assert BuildfileError("x", where=inner).at(outer).where == Where("f", 3, 5, "RUN abc")
    assert BuildfileError("x", where=inner).at(Where("f", 4, 1, "other")).where == inner
    assert BuildfileError("x").at(outer).where == outer


# --- which status they give ----------------------------------------------------------------------


class Failing(click.Command):
    error: BaseException = AssertionError("not set")

    def invoke(self, ctx: click.Context) -> None:
        raise self.error


FAILING = Failing("failing")


def fails_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Have the commands `version` and `run` raise."""
    monkeypatch.setattr(FAILING, "error", error)
    for command in ("version", "run"):
        monkeypatch.setitem(COMMANDS, command, f"{__name__}:FAILING")


KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, PybuildError)]


@pytest.mark.parametrize("kind", [k for k in KINDS if k is not StepFailedError], ids=lambda k: k.__name__)
def test_each_kind_of_error_has_its_status(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: type[PybuildError]
) -> None:
    fails_with(monkeypatch, kind("it failed"))
    assert status("version") == kind.exit_code
    assert status("run") == 125
    assert capsys.readouterr().err == "error: it failed\n" * 2


def test_the_statuses_are_those_the_docstring_names() -> None:
    for kind in KINDS:
        assert re.search(rf"\b{kind.__name__} +{kind.exit_code} ", errors.__doc__ or ""), kind


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (KeyboardInterrupt(), 130, "\npybuild: canceled\n"),
        (click.exceptions.Abort(), 130, "pybuild: canceled\n"),
        (click.exceptions.Exit(7), 7, ""),
        (click.ClickException("not so"), 1, "Error: not so\n"),
        (BrokenPipeError(), 1, ""),
    ],
    ids=lambda v: type(v).__name__ if isinstance(v, BaseException) else "",
)
def test_other_ends(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    error: BaseException,
    expected: int,
    message: str,
) -> None:
    fails_with(monkeypatch, error)
    assert status("version") == expected
    assert capfd.readouterr().err == message


def test_a_bug_is_called_one(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    fails_with(monkeypatch, ValueError("unforeseen"))
    assert status("version") == 1
    assert status("run") == 125
    assert capsys.readouterr().err.splitlines() == [
        "pybuild: internal error: ValueError: unforeseen",
        "  this is a bug; PYBUILD_DEBUG=1 shows where",
    ] * 2  # fmt: skip
    monkeypatch.setenv("PYBUILD_DEBUG", "1")
    with pytest.raises(ValueError, match="unforeseen"):
        cli.main(["version"])


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("inspect", "run"), 4),
        (("build", "run"), 4),
        (("-t", "run", "."), 4),
        (("--root", "run", "inspect", "x"), 4),
        (("run", "no/such:image@"), 125),
        (("--root", "run", "run"), 125),
        (("--root=run", "run", "--no-such-option"), 125),
    ],
)
def test_125_is_for_run_alone(work: Path, words: tuple[str, ...], expected: int) -> None:
    """Not for what only has the word somewhere."""
    assert status(*words) == expected


class Terminating(click.Command):
    def invoke(self, ctx: click.Context) -> None:
        signal.raise_signal(signal.SIGTERM)


TERMINATING = Terminating("terminating")


def test_sigterm_is_143(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(COMMANDS, "version", f"{__name__}:TERMINATING")
    assert status("version") == 143
    assert capsys.readouterr().err == ""


def test_a_reader_that_has_gone() -> None:
    """As in `pybuild version | true`."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([PROGRAM, "version"], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


def test_errors_travel_between_processes_unchanged() -> None:
    error = NotFoundError("x", hint="y").at(Where("f", 1, 2, "source", 3))
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), draw(again)) == (NotFoundError, draw(error))
    step = pickle.loads(pickle.dumps(StepFailedError("x", status=3, log=("a",))))
    assert (step.status, step.log) == (3, ("a",))


# --- where the program begins ----------------------------------------------------------------------


def began(*words: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([PROGRAM, *words], stderr=subprocess.PIPE, check=False, **options)  # type: ignore[call-overload, no-any-return]


def test_the_version_is_told_alone() -> None:
    assert began("--version", stdout=subprocess.PIPE).stdout.startswith(b"pybuild 0.1.0\nPython 3.")


def test_whoever_asks_may_have_closed_the_output(work: Path) -> None:
    (work / "Buildfile").write_text("FROM scratch\nENV A=1\n")
    for words in (["build", "-q", "."], ["build", "-q", "."], ["images"], ["--version"]):
        done = subprocess.run(["sh", "-c", '"$0" "$@" >&-', PROGRAM, *words], stderr=subprocess.PIPE, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


def test_the_directory_it_is_asked_in_may_be_gone(work: Path, tmp_path: Path) -> None:
    script = f'rmdir "{work}" && "$0" build -q .'
    done = subprocess.run(["sh", "-c", script, PROGRAM], cwd=work, stderr=subprocess.PIPE, check=False)
    assert done.returncode
    assert b"Traceback" not in done.stderr
    assert b"internal error" not in done.stderr


def test_a_build_whose_output_is_no_text_is_never_known(work: Path) -> None:
    name = os.fsdecode(b"Build\xff")
    (work / name).write_bytes(b"from scratch\nENV A=\xc3\xa4\n# \xff\n")
    ends = [began("build", "-f", name, ".", cwd=work) for _ in range(3)]
    assert [end.returncode for end in ends] == [0, 0, 0]
    assert b"ConsistentInstructionCasing" in ends[2].stderr


def test_a_buildfile_that_is_no_text(work: Path) -> None:
    (work / "Buildfile").write_bytes(b"FROM scratch\n# \xff\nLABEL\ta=\xff\n")
    done = began("build", ".", cwd=work)
    assert done.returncode == BuildfileError("").exit_code
    assert b"Buildfile is not UTF-8" in done.stderr
    assert b"Buildfile:3" in done.stderr


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_what_an_encoding_has_not_is_replaced(work: Path, encoding: str) -> None:
    env = {**os.environ, "PYTHONIOENCODING": f"{encoding}:strict"}
    for words in (["rmi", "--help"], ["inspect", os.fsdecode("naïve…".encode() + b"\xff")]):
        done = subprocess.run([PROGRAM, *words], env=env, capture_output=True, check=False)
        assert b"internal error" not in done.stderr
        assert b"Traceback" not in done.stderr
        if encoding == "latin-1":
            assert b"..." in done.stdout + done.stderr
