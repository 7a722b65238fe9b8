"""Lists: filters, templates and quiet forms as Docker has them, on whatever terminal there is."""

from __future__ import annotations

import json
import os
import pty
import struct
import termios
from collections.abc import Mapping
from fcntl import ioctl

import pytest

from builder.api.images import images
from builder.api.session import Session
from builder.errors import NotFoundError, UsageError
from tests.support.program import PROGRAM, Pybuild


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Pybuild:
    """With three images: base, one with a label, and one without a name, whose build ran something."""
    pybuild = Pybuild(tmp_path_factory.mktemp("listings") / "store", tmp_path_factory.mktemp("work"))
    pybuild.base()
    pybuild.build(
        "FROM base\nLABEL tier=back\nCMD echo '\x1b[31mrot\u202e' naïve 漢字…\n", "-t", "team/app:1.2", "-t", "app"
    ).ok()
    pybuild.file("file", "content")
    pybuild.build("FROM base\nRUN true\nCOPY file /\n").ok()
    return pybuild


def test_images_are_filtered(filled: Pybuild) -> None:
    app = ["app:latest", "team/app:1.2"]
    for filters, found in {
        (): ["<none>:<none>", "app:latest", "base:latest", "team/app:1.2"],
        ("dangling=true",): ["<none>:<none>"],
        ("dangling=false", "label=tier"): app,
        ("label=tier=back",): app,
        ("label=tier", "label=tier=front"): [],
        ("reference=team/*",): ["team/app:1.2"],
        ("reference=app", "reference=base:*"): ["app:latest", "base:latest"],
        ("reference=*",): ["app:latest", "base:latest"],
        ("since=base",): ["<none>:<none>", *app],
        ("before=app", "dangling=false"): ["base:latest"],
        ("until=24h",): [],
        ("until=2100-01-01T00:00:00Z", "reference=base"): ["base:latest"],
        ("until=1000000000",): [],
    }.items():
        with Session(filled.root) as session:
            rows = images(session, filters)
        assert sorted(f"{row.repository}:{row.tag}" for row in rows) == found, filters
    named = filled("images", "--filter", "label=tier", "--filter", "reference=app", "--format", "{{.Repository}}")
    assert named == "app\n"
    assert filled("images", "team/app", "--format", "{{.Tag}}") == "1.2\n"
    for wrong, said in {
        "dangle=true": "did you mean dangling=true?",
        "dangling=maybe": "use dangling=true or dangling=false",
        "reference=[": "pattern",
        "before=nothing": "nothing",
        "until=soon": "24h",
    }.items():
        with Session(filled.root) as session, pytest.raises((UsageError, NotFoundError)) as error:
            images(session, [wrong])
        assert said in f"{error.value.message} {error.value.hint}"


def test_forms_of_images(filled: Pybuild) -> None:
    identifier = json.loads(filled("inspect", "app"))[0]["Id"]
    assert filled("images", "app", "-q", "--no-trunc") == f"{identifier}\n"
    assert filled("images", "app", "-q", "--format", "json") == f"{identifier[7:19]}\n"
    table = filled("images", "app", "--format", "table {{.Tag}}\\t{{.ID}}\\t{{upper .Repository}}")
    assert [line.split() for line in table.splitlines()] == [
        ["TAG", "IMAGE", "ID", "REPOSITORY"],
        ["latest", identifier[7:19], "APP"],
    ]
    lines = [json.loads(line) for line in filled("images", "--format", "{{json .}}").splitlines()]
    assert {line["Repository"] for line in lines} == {"app", "team/app", "base", "<none>"}
    assert all(isinstance(value, str) for line in lines for value in line.values())
    told = '{{.Config.Labels.tier}} {{.Config.User}}|{{.Config.Healthcheck}}|{{join .Config.Cmd " "}} {{.Os}}'
    assert filled("inspect", "-f", told, "app").startswith("back |<no value>|/bin/sh -c echo '\x1b[31mrot")
    steps = filled("history", "app", "--format", "{{.ID}} {{.Size}} {{.CreatedBy}}", "--human=false").splitlines()
    assert steps[0].startswith(f"{identifier[7:19]} 0 CMD")
    assert filled("history", "-q", "app").split() == [identifier[7:19], *["<missing>"] * (len(steps) - 1)]


@pytest.mark.parametrize("wrong", ["{{.Nothing}}", "{{.ID", "jsn", "table {{range .ID}}{{end}}"])
def test_a_wrong_template_is_a_wrong_argument(filled: Pybuild, wrong: str) -> None:
    for command in (("images",), ("inspect", "app")):
        done = filled.try_(*command, "--format", wrong)
        assert (done.returncode, done.stdout) == (2, "")
    # also where there is nothing to list
    assert "did you mean .Names?" in filled.try_("ps", "--format", "{{.Nmaes}}").stderr


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("cache", "ls", "--format", "{{.Line}}"), "Buildfile:2\n"),
        (("cache", "du", "--format", "table {{.Kind}}\\t{{.Count}}"), "KIND"),
        (("system", "df", "--format", "{{.Type}} {{.Active}}"), "Images 0\n"),
        (("system", "df", "-v", "--format", "{{len .images}}"), "3\n"),
        (("logs", "--list", "--format", "{{.Ran}}"), "2\n"),
        (("logs", "--list", "last", "--format", "{{.ID}} {{.State}}"), "2 "),
        (("context", "ls", "--format", "{{.Path}}"), "file\n"),
        (("context", "ls", "-q"), "file\n"),
        (("version", "--format", "{{.pybuild}}"), "0."),
        (("plan", "--format", "{{len .steps}}", "."), "3\n"),
        (("cache", "why", "--format", "{{.build.buildfile}}"), "Buildfile\n"),
        (("sbom", "base", "--format", "table {{.Name}}\\t{{.Version}}"), "NAME"),
        (("doctor", "--format", "{{.tier}}"), "\n"),
        (("manifest", "inspect", "base", "-f", "{{.schemaVersion}}"), "2\n"),
    ],
)
def test_every_list_takes_templates(filled: Pybuild, words: tuple[str, ...], text: str) -> None:
    assert text in filled(*words)


def shown(pybuild: Pybuild, columns: int, env: Mapping[str, str], *words: str) -> bytes:
    """What a command shows on a terminal so wide."""
    ours, its = pty.openpty()
    ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    child = os.posix_spawn(
        PROGRAM,
        [PROGRAM, "--root", str(pybuild.root), *words],
        {**os.environ, **env},
        file_actions=[(os.POSIX_SPAWN_DUP2, its, fd) for fd in (0, 1, 2)],
    )
    os.close(its)
    found = b""
    try:
        while data := os.read(ours, 1 << 16):
            found += data
    except OSError:  # as Linux says that nobody has it open any more
        pass
    os.close(ours)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, found
    return found.replace(b"\r\n", b"\n")


@pytest.mark.parametrize("env", [{}, {"LANG": "C", "PYTHONIOENCODING": "ascii"}, {"NO_COLOR": "1", "TERM": "dumb"}])
def test_any_terminal_will_do(filled: Pybuild, env: dict[str, str]) -> None:
    for columns, *words in (
        (80, "images", "--tree"),
        (40, "history", "app"),
        (1, "history", "app"),
        (80, "history", "app", "--no-trunc", "--format", "{{.CreatedBy}}"),
        (80, "inspect", "app", "-f", "{{.Config.Cmd}} {{json .Config.Cmd}}"),
    ):
        text = shown(filled, columns, env, *words)
        assert b"\x1b" not in text
        assert "\u202e".encode() not in text
        assert text.isascii() or "PYTHONIOENCODING" not in env
        if columns == 40:
            assert max(map(len, text.decode().split("\n"))) <= columns
