"""`--help`: options in sections, examples that click understands, commands in the order of the table."""

from __future__ import annotations

import shlex
from contextlib import suppress

import click
import pytest
from click.testing import CliRunner

from builder.cli.help import EVERYWHERE, Command, command, section
from builder.cli.lazy import LazyGroup
from builder.cli.program import pybuild
from builder.cli.words import COMMANDS, SECTIONS
from tests.arch.test_docs import commands, understood
from tests.support.golden import CASES, check


def shown(subject: click.Command, *words: str) -> str:
    return CliRunner().invoke(subject, [*words, "--help"], prog_name="pybuild").output


@command(("tool --all x", "see all"), short="look")
@section("Second", click.option("--alpha", help="A."), section("Inner", click.option("--inner", help="I.")))
@click.option("--own", help="O.")
@section(EVERYWHERE, click.option("--root", help="R."))
@click.argument("name")
def tool(**given: str) -> None:
    """Do what a tool does."""


def test_options_stand_in_their_sections() -> None:
    assert shown(tool).partition("tool does.\n\n")[2] == (
        "Options:\n  --own TEXT    O.\n\n"
        "Second:\n  --alpha TEXT  A.\n\n"
        "Inner:\n  --inner TEXT  I.\n\n"
        "Everywhere:\n  --root TEXT   R.\n  --help        Show this message and exit.\n\n"
        "Examples:\n  # See all\n  tool --all x\n"
    )


def test_an_example_is_not_wrapped() -> None:
    line = "tool " + "word " * 30
    assert f"\n  {line.rstrip()}\n" in shown(Command("tool", examples=[(line.rstrip(), "do it")]))


def test_what_an_example_does_may_be_long() -> None:
    said = " ".join(["word"] * 30)
    lines = shown(Command("tool", examples=[("tool", said)])).partition("Examples:\n")[2].splitlines()
    assert [line[:7] for line in lines] == ["  # Wor", "  # wor", "  tool"]
    assert max(map(len, lines)) <= 80


GROUP = LazyGroup("group", table={"tool": f"{__name__}:tool"}, sections={"Tools": ["tool"]}, examples=[("group", "x")])


def test_commands_stand_in_their_sections() -> None:
    assert "Tools:\n  tool  look\n\nEverywhere:\n  --help  " in shown(GROUP)
    assert shown(GROUP).endswith("Examples:\n  # X\n  group\n")


def test_the_program_lists_its_commands_as_the_table_does() -> None:
    listed = shown(pybuild)
    places = [listed.index(f"\n{title}:\n") for title in SECTIONS]
    assert places == sorted(places)
    found = [listed.index(f"\n  {name} ") for name in COMMANDS]
    assert found == sorted(found)


def everything() -> dict[str, click.Command]:
    """The program, its groups and their commands, by their words."""
    found: dict[str, click.Command] = {"": pybuild}
    for name, known in commands().items():
        words = name.split()
        for number in range(1, len(words)):
            group = found[" ".join(words[: number - 1])]
            assert isinstance(group, click.Group)
            above = group.get_command(click.Context(group), words[number - 1])
            assert above is not None
            found[" ".join(words[:number])] = above
        found[name] = known
    return found


EXAMPLES = {name: getattr(known, "examples", ()) for name, known in everything().items()}
LINES = [(name, line) for name, examples in EXAMPLES.items() for line, _ in examples]


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_command_has_examples(name: str) -> None:
    assert EXAMPLES[name]
    assert all(said[0].islower() and not said.endswith(".") for _, said in EXAMPLES[name])


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_help_is_what_was_accepted(monkeypatch: pytest.MonkeyPatch, name: str, accept: bool) -> None:
    """At 80 columns; and at 40 nothing is lost, but for words that are longer."""
    monkeypatch.setenv("COLUMNS", "80")
    check(CASES / "help" / f"{'-'.join(name.split()) or 'pybuild'}.txt", shown(pybuild, *name.split()), accept)
    monkeypatch.setenv("COLUMNS", "40")
    narrow = shown(pybuild, *name.split())
    assert narrow.startswith("Usage: pybuild")
    assert all(line in narrow for line, _ in EXAMPLES[name])


@pytest.mark.parametrize(("name", "line"), LINES)
def test_an_example_is_a_call_of_its_command(name: str, line: str) -> None:
    program, *words = shlex.split(line)
    assert program == "pybuild"
    assert line.startswith(f"pybuild {name}".rstrip())
    with suppress(click.exceptions.Exit):  # it asks for help
        understood(words)
