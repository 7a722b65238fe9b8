"""`make docs`: the pages of this repository, and a page for each command, as a site that opens without a server.

The pages are copied to build/pages as they lie here, so that the links between them are the same in both; those of the
commands are written by what click knows of them. Whatever points to nothing is an error (mkdocs' strict mode).
"""

from __future__ import annotations

import logging
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
from mkdocs.commands.build import build
from mkdocs.config import load_config

from builder.cli.defaults import settable, variables
from builder.cli.help import by_section
from builder.cli.program import pybuild

TOP = Path(__file__).parents[2]
HERE = "docs/site"
PAGES = TOP / "build/pages"
_LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)")


def pages() -> Iterator[Path]:
    """The pages of this repository: those beside README.md and in docs/, of examples, grammar and benchmarks."""
    yield from sorted(TOP.glob("*.md"))
    yield from sorted(page for page in (TOP / "docs").rglob("*.md"))
    yield from sorted(TOP.glob("examples/*/README.md"))
    yield from sorted(TOP.glob("grammar/README.md"))
    yield from (TOP / "benchmarks/README.md", TOP / "benchmarks/results/measured.md")


def stage() -> None:
    """Copy the pages to PAGES, and what they show or point to."""
    shutil.rmtree(PAGES, ignore_errors=True)
    for page in pages():
        for path in (page, *linked(page)):
            target = PAGES / path.relative_to(TOP)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def linked(page: Path) -> Iterator[Path]:
    """The files that are no pages and that `page` shows or points to."""
    for match in _LINK.finditer(page.read_text()):
        path = (page.parent / match[1]).resolve()
        if path.suffix != ".md" and path.is_file() and path.is_relative_to(TOP):
            yield path


# --- commands -------------------------------------------------------------------------------------


def commands(group: click.Group, words: str) -> Iterator[tuple[str, click.Command]]:
    """Every command and every group, by all of its words."""
    with click.Context(group) as context:
        for name in group.list_commands(context):
            found = group.get_command(context, name)
            if found is None or found.hidden:
                continue
            yield f"{words} {name}", found
            if isinstance(found, click.Group):
                yield from commands(found, f"{words} {name}")


def reference() -> list[str]:
    """Write a page for each command; their paths."""
    found = []
    for words, each in commands(pybuild, "pybuild"):
        name = f"reference/{words.removeprefix('pybuild ').replace(' ', '-')}.md"
        (PAGES / name).parent.mkdir(exist_ok=True)
        (PAGES / name).write_text(command_page(words, each))
        found.append(name)
    return found


def command_page(words: str, each: click.Command) -> str:
    """What click knows of a command, as Markdown."""
    path = words.removeprefix("pybuild ").replace(" ", ".")
    with click.Context(each, info_name=words) as context:
        usage = " ".join(each.collect_usage_pieces(context))
        lines = [f"# {words}", "", f"    {words} {usage}", "", _text(each.help or ""), ""]
        if isinstance(each, click.Group):
            lines += _members(words, each, context)
        lines += _options(path, each, context)
    examples: Sequence[tuple[str, str]] = getattr(each, "examples", ())
    if examples:
        lines += ["## Examples", ""]
        for line, said in examples:
            lines += [f"{said[0].upper()}{said[1:]}:", "", f"    {line}", ""]
    return "\n".join(lines)


def _members(words: str, group: click.Group, context: click.Context) -> list[str]:
    lines = ["| command | |", "|---|---|"]
    for name in group.list_commands(context):
        member = group.get_command(context, name)
        if member is not None:
            page = f"{words.removeprefix('pybuild ')} {name}".replace(" ", "-")
            lines.append(f"| [{name}]({page}.md) | {_cell(member.get_short_help_str(200))} |")
    return [*lines, ""]


def _options(path: str, each: click.Command, context: click.Context) -> list[str]:
    """A table for each section of options: how it is written, what it does, the variable that says it."""
    names = {option: name for name, option in settable(each).items()}
    lines = []
    for title, options in by_section(each.get_params(context)).items():
        rows = []
        for option in options:
            record = option.get_help_record(context)
            said = f"`{variables(path, names[option], option)[0]}`" if option in names else ""
            if record is not None:
                rows.append(f"| `{_cell(record[0])}` | {_cell(record[1])} | {said} |")
        if rows:
            lines += [f"## {title}", "", "| option | | variable |", "|---|---|---|", *rows, ""]
    return lines


def _text(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.replace("\b", "").split("\n\n")).replace("<", "&lt;")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def navigation(nav: Sequence[Any], commands: Sequence[str], named: frozenset[str]) -> Iterator[Any]:
    """The navigation of mkdocs.yml, with all pages that a star or COMMANDS stands for; index pages first.

    A star leaves out pages that are `named`.
    """
    for each in nav:
        if isinstance(each, dict):
            yield {title: list(navigation(below, commands, named)) for title, below in each.items()}
        elif each == "COMMANDS":
            yield from commands
        elif "*" in each:
            found = {str(page.relative_to(PAGES)) for page in PAGES.glob(each)} - named
            yield from sorted(found, key=lambda path: (not path.endswith("/index.md"), path))
        else:
            yield each


def all_named(nav: Sequence[Any]) -> Iterator[str]:
    """The pages that a navigation names."""
    for each in nav:
        if isinstance(each, dict):
            yield from all_named([page for below in each.values() for page in below])
        else:
            yield each


def main(target: Path) -> None:
    """Build the site into `target`."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    stage()
    written = reference()
    config = load_config(str(TOP / HERE / "mkdocs.yml"), site_dir=str(target))
    config["nav"] = list(navigation(config["nav"], written, frozenset(all_named(config["nav"]))))
    config.plugins.on_startup(command="build", dirty=False)
    build(config)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else TOP / "build/site").resolve())
