"""Pages that are typed along: files to write, commands to run, and what they print.

```file NAME Buildfile          the file Buildfile
```console NAME                 `$ ` begins a command, what follows is its output, both streams as they come
…                               in a line: anything; as a line: any lines; a last line `exit status N`: not 0
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.program import PROGRAM

_FENCE = re.compile(r"^```(file|console) (\S+) ?(\S*)\n((?s:.*?))^```$", re.MULTILINE)
_STATUS = re.compile(r"exit status (\d+)\n\Z")


@dataclass(frozen=True)
class File:
    name: str
    content: str


@dataclass(frozen=True)
class Command:
    line: str
    output: str
    status: int


def read(page: Path, name: str) -> Iterator[File | Command]:
    """What the blocks called `name` of a page ask for."""
    for kind, called, file, body in _FENCE.findall(page.read_text()):
        if called != name:
            continue
        if kind == "file":
            yield File(file, body)
            continue
        for each in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
            line, _, output = each.partition("\n")
            ended = _STATUS.search(output)
            yield Command(line, _STATUS.sub("", output), int(ended[1]) if ended else 0)


def pattern(output: str) -> re.Pattern[str]:
    """What output must be like."""
    lines = [
        r"(?:.*\n)*?" if line == "…\n" else re.escape(line).replace("…", ".*")
        for line in output.splitlines(keepends=True)
    ]
    return re.compile("".join(lines))


def follow(page: Path, name: str, directory: Path, env: dict[str, str]) -> None:
    """Do what the page says, in `directory`; every command must end and print as it says."""
    path = f"{PROGRAM.parent}:{env['PATH']}"
    for each in read(page, name):
        if isinstance(each, File):
            (directory / each.name).write_text(each.content)
            continue
        done = subprocess.run(
            ["sh", "-c", each.line],
            cwd=directory,
            env={**env, "PATH": path, "NO_COLOR": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == each.status, f"$ {each.line}\n{done.stdout}"
        assert pattern(each.output).fullmatch(done.stdout), (
            f"$ {each.line}\n{done.stdout}\n--- is not as\n{each.output}"
        )
