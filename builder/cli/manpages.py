"""The pages of the manual, written by what commands say of themselves, in man(7)'s macros."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence

import click

from builder import errors
from builder.cli.defaults import settable, variables
from builder.cli.help import by_section
from builder.version import __version__

# Terminals without Unicode are to show them, too.
_PLAIN = {"…": "...", "–": "\\(en", "→": "->", "×": "x"}
_CODE = re.compile(r"`([^`]+)`")
_FILES = (
    ("~/.config/pybuild/config.toml, /etc/pybuild/config.toml, .pybuild.toml", "defaults of options, and settings"),
    ("~/.local/share/pybuild, /var/lib/pybuild", "the store, of a user and of root, unless --root or PYBUILD_ROOT"),
)


def pages(program: click.Group) -> Iterator[tuple[str, str]]:
    """The name of each page, `pybuild-build`, and its text: of the program, of all groups and all commands."""
    return _pages(program, click.Context(program, info_name="pybuild"))


def _pages(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    name = context.command_path.replace(" ", "-")
    yield name, "".join(f"{line}\n" for line in _page(command, context, name))
    if isinstance(command, click.Group):
        for word in command.list_commands(context):
            below = command.get_command(context, word)
            if below is not None and not below.hidden:
                yield from _pages(below, click.Context(below, parent=context, info_name=word))


def _page(command: click.Command, context: click.Context, name: str) -> Iterator[str]:
    yield f'.TH {plain(name.upper())} 1 "" "pybuild {__version__}" "pybuild"'
    yield ".nh"  # no word is split: options are copied from here
    yield ".SH NAME"
    yield f"{plain(name)} \\- {plain(command.get_short_help_str(1000).rstrip('.'))}"
    yield ".SH SYNOPSIS"
    yield f"\\fB{plain(context.command_path)}\\fR {' '.join(map(_metavar, command.collect_usage_pieces(context)))}"
    yield ".SH DESCRIPTION"
    yield from _text(command.help or "")
    if isinstance(command, click.Group):
        yield from _members(command, context)
    yield from _options(command, context)
    examples: Sequence[tuple[str, str]] = getattr(command, "examples", ())
    if examples:
        yield ".SH EXAMPLES"
    for line, said in examples:
        yield from (".PP", f"{plain(said[:1].upper() + said[1:])}:", ".PP", ".RS 4", ".nf", plain(line), ".fi", ".RE")
    yield from _environment(command, context)
    if context.parent is None:
        yield from _whole()
    yield ".SH SEE ALSO"
    above = "pybuild" if context.parent is None else context.parent.command_path.replace(" ", "-")
    yield f"\\fB{plain(above)}\\fR(1)" if context.parent is not None else "\\fBDockerfile\\fR(5)"


def _members(group: click.Group, context: click.Context) -> Iterator[str]:
    path = context.command_path.replace(" ", "-")
    sections: Mapping[str, Sequence[str]] = getattr(group, "sections", None) or {
        "Commands": group.list_commands(context)
    }
    for title, names in sections.items():
        yield f'.SH "{plain(title.upper())}"'
        for name in names:
            member = group.get_command(context, name)
            if member is not None and not member.hidden:
                yield ".TP"
                yield f"\\fB{plain(f'{path}-{name}')}\\fR(1)"
                yield plain(member.get_short_help_str(1000))


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    """A section for each of help's."""
    for title, options in by_section(command.get_params(context)).items():
        records = [record for option in options if (record := option.get_help_record(context)) is not None]
        if records:
            yield f'.SH "{plain(title.upper())}"'
        for names, said in records:
            yield ".TP"
            yield " ".join(map(_option_word, names.split()))
            yield plain(said) or "\\&"


def _environment(command: click.Command, context: click.Context) -> Iterator[str]:
    """Which variables say what options do not: one as an example for all."""
    found = settable(command)
    if not found:
        return
    path = context.command_path.partition(" ")[2].replace(" ", ".")
    name = "format" if "format" in found else next(iter(found))
    yield ".SH ENVIRONMENT"
    variable = variables(path, name, found[name])[0]
    yield plain(f"What an option is not given for may be said by a variable, {variable} for --{name}, and by files:")
    yield "\\fBpybuild\\-config\\-show\\fR(1)."


def _whole() -> Iterator[str]:
    """What the page of the program says of all commands."""
    yield ".SH EXIT STATUS"
    kinds = inspect.getmembers(errors, inspect.isclass)
    found = {kind.exit_code: kind for _, kind in kinds if issubclass(kind, errors.PybuildError)}
    rows = {0: "It went well.", **{code: _first(found[code]) for code in sorted(found)}}
    rows[1] = "A step failed, a check found something, or what has no status of its own."
    for code, said in rows.items():
        yield from (".TP", f"\\fB{code}\\fR", plain(said))
    yield ".SH FILES"
    for path, said in _FILES:
        yield from (".TP", f"\\fI{plain(path)}\\fR", plain(f"{said}."))


def _first(kind: type) -> str:
    return (inspect.getdoc(kind) or "").splitlines()[0]


def _text(text: str) -> Iterator[str]:
    """Paragraphs."""
    for part in inspect.cleandoc(text).replace("\b", "").split("\n\n"):
        yield ".PP"
        yield _CODE.sub(r"\\fB\1\\fR", plain(" ".join(part.split())))


def _option_word(word: str) -> str:
    """One word of `-f, --file FILE`: names are bold, what they take is slanted."""
    return f"\\fB{plain(word)}\\fR" if word.startswith("-") else _metavar(word)


def _metavar(word: str) -> str:
    return f"\\fI{plain(word)}\\fR"


def plain(text: str) -> str:
    """A text that stands for itself: no macro, no escape, dashes that can be copied."""
    line = text.replace("\\", "\\e").replace("-", "\\-")
    line = "".join(_PLAIN.get(c, c if c.isascii() else f"\\[u{ord(c):04X}]") for c in line if c.isprintable())
    return f"\\&{line}" if line[:1] in (".", "'") else line
