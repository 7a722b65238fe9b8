"""Command lines are completed, in the shells themselves."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from builder.cli import complete
from builder.cli.completion import SCRIPTS
from tests.support.keyboard import Typed
from tests.support.program import PROGRAM, Pybuild

BUILDFILE = """ARG VERSION=1
FROM base AS compile-it
ARG NAME
RUN true
FROM compile-it AS last_one
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Pybuild:
    """A store with two images, a container and cached steps, and a project."""
    pybuild = Pybuild(tmp_path_factory.mktemp("completion") / "store", tmp_path_factory.mktemp("project"))
    pybuild.base()
    pybuild.file("Buildfile", BUILDFILE)
    pybuild.file("my file", "")
    pybuild.file("docker-bake.hcl", 'group "all" { targets = ["one"] }\ntarget "one" { description = "first" }\n')
    (pybuild.work / "source").mkdir()
    pybuild("build", "-q", "-t", "team/app:1.2", ".")
    pybuild("run", "--name", "worker", "base", "true")
    return pybuild


def environment(pybuild: Pybuild) -> dict[str, str]:
    return {"PYBUILD_ROOT": str(pybuild.root), "PATH": f"{PROGRAM.parent}:/usr/bin:/bin", "PS1": "$ ", "TERM": "dumb"}


class Offered:
    """Asks for what is offered, in this process: a start of the program each takes a tenth of a second."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, pybuild: Pybuild, *line: str) -> list[str]:
        """The words, and `<dir>` or `<file>` for those the shell finds."""
        self._monkeypatch.chdir(pybuild.work)
        self._monkeypatch.setenv("PYBUILD_ROOT", str(pybuild.root))
        complete.main(["zsh", *line])
        said = self._capsys.readouterr()
        assert said.err == ""
        lines = [text.split("\t") for text in said.out.splitlines()]
        return [word if kind in ("word", "open") else f"<{kind}>" for kind, word, _ in lines]


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Offered:
    return Offered(monkeypatch, capsys)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("imag", ["images", "image", "<dir>"]),
        ("cache mount l", ["ls"]),
        ("images --no-t", ["--no-trunc"]),
        ("images --format j", ["json"]),
        ("images --filter=da", ["--filter=dangling="]),
        ("images --filter dangling=t", ["dangling=true"]),
        ("rmi base:latest t", ["team/app:1.2"]),
        ("run --rm t", ["team/app:1.2"]),
        ("run base t", []),
        ("rm w", ["worker"]),
        ("stop w", []),
        ("start w", ["worker"]),
        ("cp w", ["worker:", "<file>"]),
        ("build --target ", ["compile-it", "last_one"]),
        ("build --target=l", ["--target=last_one"]),
        ("--target l", ["last_one"]),
        ("build --no-cache-filter compile-it,l", ["compile-it,last_one"]),
        ("build --build-arg ", ["VERSION=", "NAME="]),
        ("build --progress p", ["plain"]),
        ("build --pull=n", ["--pull=newer", "--pull=never"]),
        ("build --platform linux/amd64,linux/arm6", ["linux/amd64,linux/arm64"]),
        ("build -f ", ["<file>"]),
        ("build ", ["<dir>"]),
        ("-f nothing build --target ", []),
        ("plan --targ", ["--target"]),
        ("plan --target c", ["compile-it"]),
        ("--root /nonexistent rmi ", []),
        ("nonsense ", []),
        ("completion z", ["zsh"]),
        ("bake ", ["one", "all"]),
        ("bake --set o", ["one."]),
        ("inspect w", ["worker"]),
    ],
)
def test_what_is_offered(filled: Pybuild, offered: Offered, line: str, words: list[str]) -> None:
    assert offered(filled, *line.split(" ")) == words


def test_keys_builds_and_failed_steps_are_offered(filled: Pybuild, offered: Offered) -> None:
    key = filled("cache", "ls", "-q").split()[0]
    assert key in offered(filled, "cache", "show", "")
    assert offered(filled, "logs", "la") == ["last"]
    assert offered(filled, "shell", "--failed", "") == []


def test_a_buildfile_cannot_put_commands_into_the_line(filled: Pybuild, offered: Offered, tmp_path: Path) -> None:
    hostile = tmp_path / "Buildfile"
    hostile.write_text("FROM base AS $(id)\nFROM base AS a;id\nFROM base AS `id`\nFROM base AS good\nNONSENSE\n")
    assert offered(filled, "build", "-f", str(hostile), "--target", "") == ["good"]
    hostile.write_bytes(b"\xff\0")
    assert offered(filled, "build", "-f", str(hostile), "--target", "") == []


def test_nothing_is_made_and_nothing_is_said(filled: Pybuild, offered: Offered, tmp_path: Path) -> None:
    root = tmp_path / "none"
    for line in (["rmi", ""], ["start", ""], ["cache", "mount", "rm", ""]):
        assert offered(filled, "--root", str(root), *line) == []
    assert not root.exists()
    for words in ((), ("bash",), ("bash", "pybuild"), ("bash", "", ":"), ("tcsh", "x")):
        done = subprocess.run([PROGRAM, "__complete", *words], capture_output=True, check=True)
        assert done.stderr == b""


# A line up to the tab, and what it looks like behind it
TYPED = [
    ("pybuild histo", "pybuild history "),
    ("pybuild rmi team/app:", "pybuild rmi team/app:1.2 "),
    ("pybuild build --target=l", "pybuild build --target=last_one "),
    ("pybuild images --filter dang", "pybuild images --filter dangling="),
    ("pybuild build -f my", r"pybuild build -f my\\ file "),
    ("pybuild build --file=my", r"pybuild build --file=my\\ file "),
    ("pybuild build sou", "pybuild build source/"),
]


COMPINIT = "autoload -U compinit; compinit -u -D"


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_completes(filled: Pybuild, tmp_path: Path, shell: str) -> None:
    functions = tmp_path / "functions"  # as they are installed for zsh
    functions.mkdir()
    (functions / "_pybuild").write_text(SCRIPTS["zsh"])
    argv = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}[shell]
    before = {"bash": 'eval "$(pybuild completion bash)"', "zsh": f"fpath=({functions} $fpath); {COMPINIT}"}[shell]
    with Typed(argv, filled.work, environment(filled), columns=200) as typed:
        typed.type(f'{before}; PS1="> "; echo rea""dy\n')
        typed.wait_for("ready\r\n")
        for text, whole in TYPED:
            typed.type(f"{text}\t")
            typed.wait_for(whole.replace(".", r"\."))
            typed.type("\x15")  # the line is taken away


def test_zsh_takes_the_script_by_eval_too(filled: Pybuild) -> None:
    script = f'{COMPINIT}; eval "$(pybuild completion zsh)"; print ${{_comps[pybuild]}}'
    done = subprocess.run(
        ["zsh", "-f", "-c", script], env=environment(filled), capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("_pybuild\n", "")


def test_fish_completes(filled: Pybuild) -> None:
    lines = [text for text, _ in TYPED]
    script = "pybuild completion fish | source; " + "; ".join(f"complete -C '{text}'" for text in lines)
    done = subprocess.run(
        ["fish", "--no-config", "-c", script],
        cwd=filled.work,
        env={**environment(filled), "HOME": str(filled.work)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    words = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert words[:4] == ["history", "team/app:1.2", "--target=last_one", "dangling="]
    assert words[4:] == ["my file", "--file=my file", "source/"]


@pytest.mark.parametrize("shell", SCRIPTS)
def test_scripts_are_printed(pybuild: Pybuild, shell: str) -> None:
    script = pybuild("completion", shell)
    assert script == SCRIPTS[shell]
    subprocess.run([shell, "-n"], input=script, text=True, check=True)


def test_another_shell_is_refused(pybuild: Pybuild) -> None:
    done = pybuild.try_("completion", "bsah")
    assert (done.returncode, "bash" in done.stderr) == (2, True)
