"""`python -m benchmarks.picture FILE`: a build as it is shown in a terminal while it runs, as an SVG for the README.

It is recorded from the real program, at work on this repository's own files, on programs of this machine.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

from builder.linux.files import write_atomically

_COLUMNS, _ROWS = 80, 24
_TOP = Path(__file__).parents[1]
_PROGRAM = Path(sys.executable).parent / "pybuild"
_PROGRAMS = "sh,wc,sort,find,sleep"
_BUILDFILE = """\
FROM base AS words
COPY docs docs
RUN for page in docs/*.md; do echo counting $page; wc -w $page >> /words.txt; sleep 0.3; done

FROM base AS code
COPY builder builder
RUN find builder -name '*.py' | sort | while read -r file; do wc -l $file; sleep 0.02; done

FROM base
COPY --from=words /words.txt /
COPY --from=code /builder /builder
"""
# The moment that is shown: when two steps have been running for a while.
_MOMENT = re.compile(rb"2 running[^\n]* (2\.[5-9]|[3-9]\.[0-9])s")
# What a terminal is told: to go so many rows up, to clear what stands behind the cursor, colours, and other things.
_TOLD = re.compile(r"\x1b\[(\??[0-9;]*)([A-Za-z])|\r|\n")
_SVG = """\
<svg class="pybuild" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width; }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def main(arguments: list[str]) -> int:
    """Write the picture."""
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="pybuild-picture-") as name:
        directory = Path(name)
        _prepare(directory)
        said = _recorded(directory)
    write_atomically(arguments[0], drawn(screen(said.decode())).encode())
    return 0


def _prepare(directory: Path) -> None:
    (directory / "Buildfile").write_text(_BUILDFILE)
    for name in ("docs", "builder"):
        shutil.copytree(_TOP / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    _run(directory, "import", "--from-host", _PROGRAMS, "base")


def _command(directory: Path, *words: str) -> list[str]:
    return [str(_PROGRAM), "--root", str(directory / "store"), *words]


def _run(directory: Path, *words: str) -> None:
    subprocess.run(_command(directory, *words), cwd=directory, check=True, stdout=subprocess.DEVNULL)


def _recorded(directory: Path) -> bytes:
    """What is written to a terminal until the moment that is shown."""
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (_ROWS, _COLUMNS))
    env = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    env.pop("NO_COLOR", None)
    command = _command(directory, "build", "-t", "app", ".")
    build = subprocess.Popen(command, cwd=directory, env=env, stdin=slave, stderr=slave)
    said = b""
    try:
        os.close(slave)
        while not _MOMENT.search(said) or not said.endswith(b"\x1b[?7h"):
            said += os.read(master, 1 << 16)
    finally:
        build.terminate()
        os.set_blocking(master, False)
        build.wait()
        os.close(master)
    return said


def screen(said: str) -> list[str]:
    """The rows of a terminal that was told so, with their colours; as much as the live view tells one."""
    rows, at, begin = [""], 0, 0
    for told in _TOLD.finditer(said):
        rows[at] += said[begin : told.start()]
        begin = told.end()
        if told[2] == "m":
            rows[at] += told[0]
        elif told[2] == "J":
            del rows[at + 1 :]
        elif told[0] == "\n":
            at += 1
            rows += [""] * (at == len(rows))
            rows[at] = ""
        elif told[2] == "A":
            at -= int(told[1])
            rows[at] = ""
        elif told[0] == "\r" and not said.startswith("\n", begin):
            rows[at] = ""
    return rows


def drawn(rows: list[str]) -> str:
    """The rows as an SVG."""
    console = Console(width=_COLUMNS, record=True, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for row in ("$ pybuild -t app .", *rows):
        console.print(Text.from_ansi(row), no_wrap=True, crop=True)
    return console.export_svg(title="pybuild", code_format=_SVG, unique_id="pybuild")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
