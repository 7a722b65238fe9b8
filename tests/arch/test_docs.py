"""The docs are true: what they say of commands, codes, flags, paths, links and digests is what the code says."""

from __future__ import annotations

import inspect
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from builder import errors
from builder.cli.defaults import settable, variables
from builder.cli.program import pybuild
from builder.cli.report import draw
from builder.cli.words import COMMANDS, with_default_command
from builder.config.defaults import OF_PROJECTS
from builder.config.settings import SETTINGS, settings
from builder.digest import Digest
from builder.errors import BuildfileError, PybuildError
from builder.export.select import FORMATS
from builder.graph.lower import Base, LowerOptions, lower
from builder.graph.vertex import Graph
from builder.image.config import ImageConfig
from builder.image.platform import Platform
from builder.keys.preimage import NOTHING, chained, key_of, preimage
from builder.lang.flags import FLAGS
from builder.lang.parser import USAGE, parse
from builder.lang.source import Source
from builder.layers.contentid import content_id
from builder.layers.entry import Entry, Kind

TOP = Path(__file__).parents[2]
DOCS = TOP / "docs"
PAGES = sorted([*TOP.glob("*.md"), *DOCS.rglob("*.md"), *TOP.glob("grammar/*.md"), *TOP.glob("examples/*/*.md")])
ROOMS = sorted(p.stem for p in (TOP / "builder").iterdir() if p.suffix == ".py" or (p / "__init__.py").exists())
HELLO = TOP / "examples" / "hello"
AMD64 = Platform("linux", "amd64")

pages = pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(TOP)))


def fenced(page: Path) -> Iterator[tuple[str, str]]:
    """The fenced blocks of a page: what stands after the fence, and the text."""
    for match in re.finditer(r"^( *)```(.*)\n((?s:.*?))^ *```$", page.read_text(), re.MULTILINE):
        yield match[2].strip(), re.sub(f"^{match[1]}", "", match[3], flags=re.MULTILINE)


def block(page: Path, info: str) -> str:
    (found,) = (text for kind, text in fenced(page) if kind == info)
    return found


def prose(page: Path) -> str:
    """The page without its fenced blocks."""
    return re.sub(r"^ *```(?s:.*?)^ *```$", "", page.read_text(), flags=re.MULTILINE)


def sections(text: str, level: str) -> dict[str, str]:
    """What stands below each heading of `level`, up to the next as high, by its text without backticks."""
    found = re.finditer(rf"^{level} (.+)\n((?s:.*?))(?=^#{{1,{len(level)}}} |\Z)", text, re.MULTILINE)
    return {match[1].replace("`", ""): match[2] for match in found}


def rows(text: str) -> list[list[str]]:
    """The cells of all table rows; a `\\|` is no border."""
    lines = [line for line in text.splitlines() if line.startswith("|") and not re.fullmatch(r"[|\- ]+", line)]
    return [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def code(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


# --- commands --------------------------------------------------------------------------------------


@cache
def commands() -> dict[str, click.Command]:
    """Every command that does something, by its words."""
    return dict(_commands(pybuild, ""))


def _commands(group: click.Group, words: str) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _commands(command, f"{words}{name} ")
        else:
            yield f"{words}{name}", command


def options(command: click.Command) -> dict[str, click.Option]:
    """Options by each of their names, but for help's."""
    found = [p for p in command.params if isinstance(p, click.Option) and p.name != "help"]
    return {name: option for option in found for name in (*option.opts, *option.secondary_opts)}


def documented(body: str) -> dict[str, str]:
    """The options a section's table tells of: name → the whole first cell."""
    cells = [row[0] for row in rows(body) if row[0].startswith("`-")]
    return {text.split()[0]: cell for cell in cells for text in code(cell)}


CLI = (DOCS / "cli.md").read_text()
EVERYWHERE = CLI.partition("\n## ")[0]


def test_every_command_has_its_section() -> None:
    below = [
        name for title, body in sections(CLI, "##").items() if "Exit" not in title for name in sections(body, "###")
    ]
    assert below == list(commands())


@pytest.mark.parametrize("name", commands())
def test_a_section_names_the_options_of_its_command(name: str) -> None:
    body = sections(CLI, "###")[name]
    known, told = options(commands()[name]), documented(body)
    root = {"--root"} & set(known)
    assert set(told) == set(known) - root
    for option, cell in told.items():
        choices = getattr(known[option].type, "choices", ())
        assert all(choice in cell for choice in choices), cell
        assert known[option].metavar is None or known[option].metavar in cell, cell
    assert re.search(rf"^    pybuild {name}\b", body, re.MULTILINE), "how it is called"
    mentioned = {word for text in code(prose_of(body)) for word in re.findall(r"(?<![\w-])--[a-z-]+", text)}
    assert mentioned <= {*known, "--help", "--output"}, "an option of another command"


def prose_of(body: str) -> str:
    return re.sub(r"^\|.*$", "", body, flags=re.MULTILINE)


def test_the_options_of_all_commands_are_told_once() -> None:
    told = documented(EVERYWHERE)
    assert set(told) == {*options(pybuild), "-h", "--help"}
    (root,) = (row[1] for row in rows(EVERYWHERE) if "`--root" in row[0])
    without = [name for name, command in commands().items() if "--root" not in options(command)]
    groups = [name for name in COMMANDS if name not in commands()]
    assert [text for text in code(root) if text != "--root DIR"] == [*without, *groups]


def test_the_outputs_are_those_there_are() -> None:
    told = {code(row[0])[0]: row[2] for row in rows(sections(CLI, "####")["Output"]) if row[0].startswith("`")}
    assert set(told) == set(FORMATS)
    for kind, chosen in FORMATS.items():
        assert [text.partition("=")[0] for text in code(told[kind])] == list(chosen.options)


def test_exit_codes_are_those_of_the_errors() -> None:
    told = {code(row[1])[0]: int(row[0]) for row in rows(sections(CLI, "##")["Exit codes"]) if row[1].startswith("`")}
    known = {
        name: kind.exit_code
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, PybuildError)
    }
    assert told == known
    drawn = re.findall(r"(\w+Error)\s+(\d+) ", errors.__doc__ or "")
    assert {name: int(number) for name, number in drawn} == known


def test_variables_are_those_that_are_read() -> None:
    read = {
        name
        for path in (TOP / "builder").rglob("*.py")
        for name in re.findall(r"(?:environ\S*\(|envvar=\[?)\"(PYBUILD_\w+)\"", path.read_text())
    }
    assert len(read) > 2
    named = {name for page in PAGES for name in re.findall(r"PYBUILD_\w+", page.read_text())}
    of_options = {
        variables(path.replace(" ", "."), name, option)[0]
        for path, each in commands().items()
        for name, option in settable(each).items()
    }
    assert named - of_options - {"PYBUILD_COMMAND_OPTION"} == read
    assert all(name in CLI for name in read)


def test_what_projects_may_set_is_told() -> None:
    told = block(TOP / "docs/configuration.md", "projects").split()
    assert {f"build.{name}" for name in told} == OF_PROJECTS


# --- examples --------------------------------------------------------------------------------------


def shell_lines() -> list[tuple[str, str]]:
    """Lines that call pybuild: in a fenced block after a `$`, or indented by four."""
    found = []
    for page in PAGES:
        text = "".join(body for _, body in fenced(page))
        lines = re.findall(r"^ *\$ (.+)$", text, re.MULTILINE)
        if page.is_relative_to(TOP / "examples"):
            lines += re.findall(r"^    (pybuild .+)$", page.read_text(), re.MULTILINE)
        found += [(str(page.relative_to(TOP)), line) for line in lines if "pybuild" in line]
    return found


def test_there_are_examples() -> None:
    assert {"README.md", "docs/develop/debugging.md"} <= {page for page, _ in shell_lines()}


@pytest.mark.parametrize(("page", "line"), shell_lines())
def test_a_shell_example_is_a_call_that_works(page: str, line: str) -> None:
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&<>")
    lexer.whitespace_split = True
    lexer.commenters = "#"
    words: list[str] = []
    calls = []
    for word in [*lexer, ";"]:
        if word and set(word) <= set("|;&<>"):
            if "pybuild" in words:
                calls.append(words[words.index("pybuild") + 1 :])
            words = []
        else:
            words.append(word)
    for call in calls:
        understood(call)


def understood(words: list[str]) -> None:
    """Have click read a command line without running it. Raises click's errors."""
    context = pybuild.make_context("pybuild", with_default_command(words))
    command: click.Command = pybuild
    while isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        if not rest:
            return
        name, inner, rest = command.resolve_command(context, rest)
        assert inner is not None
        context = inner.make_context(name, rest, parent=context)
        command = inner


def test_an_example_that_does_not_work_is_noticed() -> None:
    for words in (["biuld"], ["build", "--form", "."], ["tag", "one"], ["cache", "purge"]):
        with pytest.raises(click.UsageError):
            understood(words)


@pages
def test_buildfiles_parse(page: Path) -> None:
    for info, text in fenced(page):
        if info.lower() in ("buildfile", "dockerfile"):
            parse(Source(page.name, text))


class AnyImage:
    """A resolver that knows every image."""

    def base(self, reference: str, platform: Platform) -> Base:
        return Base(reference, Digest.of(reference.encode()), ImageConfig(platform, env=(("PATH", "/bin"),)))


def lower_text(text: str, resolver: AnyImage | None = None) -> Graph:
    source = Source("Buildfile", text)
    return lower(parse(source), source, LowerOptions(AMD64, AMD64), resolver or AnyImage())


# --- settings --------------------------------------------------------------------------------------


def test_the_settings_that_are_told_are_the_defaults() -> None:
    told = tomllib.loads(block(DOCS / "cache.md", "toml"))
    flat = {f"{table}.{name}": value for table, values in told.items() for name, value in values.items()}
    assert flat == {name: setting.default for name, setting in SETTINGS.items() if name != "registry"}


def test_the_rules_for_registries_that_are_told_can_be_set(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(block(DOCS / "registries.md", "toml"))
    (rule,) = settings((file,))["registry"].value
    assert (rule.prefix, [mirror.location for mirror in rule.mirrors]) == (
        "registry.example/team",
        ["mirror.example/team"],
    )


# --- the language ----------------------------------------------------------------------------------

LANGUAGE = sections((DOCS / "buildfile.md").read_text(), "##")


def test_every_instruction_is_told_of() -> None:
    told = [code(row[0])[0].split()[0] for row in rows(LANGUAGE["Instructions"]) if row[0].startswith("`")]
    assert sorted(told) == sorted(USAGE)


FLAG_ROWS = [row for row in rows(LANGUAGE["Flags"]) if row[0].startswith("`")]


def test_every_flag_is_told_of() -> None:
    known = [f"{instruction} --{flag}" for instruction, flags in FLAGS.items() for flag in flags]
    assert sorted(code(row[0])[0] for row in FLAG_ROWS) == sorted(known)


@pytest.mark.parametrize(("flag", "example", "said"), FLAG_ROWS, ids=lambda v: str(v).strip("`"))
def test_a_flag_works_or_is_refused_as_said(flag: str, example: str, said: str) -> None:
    line = code(example)[0]
    assert line.startswith(code(flag)[0]), "the example uses the flag"
    text = line if line.startswith("FROM") else f"FROM base\n{line}"
    if said.startswith("refused"):
        with pytest.raises(BuildfileError, match="not supported in this version"):
            lower_text(text)
    else:
        assert said.startswith("works")
        lower_text(text)


# --- paths, links, rooms ---------------------------------------------------------------------------


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pages
def test_links_resolve(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        assert "://" not in target, "the docs stand on their own"
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            assert anchor in {slug(h) for h in re.findall(r"^#+ (.+)$", linked.read_text(), re.MULTILINE)}, target


@pages
def test_paths_exist(page: Path) -> None:
    for path in re.findall(
        r"(?<![\w/.-])(?:builder|tests|grammar|examples|docs|benchmarks)/[\w./-]*", page.read_text()
    ):
        found = path.rstrip(".")
        assert (TOP / found).exists(), found


@pages
def test_pages_are_well_made(page: Path) -> None:
    text = page.read_text()
    assert text.startswith("# ")
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    for line in prose(page).splitlines():
        assert line == line.rstrip()
        assert len(line) <= 120 or line.startswith("|"), line


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_is_drawn(room: str) -> None:
    if room in ("__init__", "version"):
        return
    for page in (TOP / "README.md", DOCS / "architecture.md"):
        assert re.search(rf"\b{room}\b", page.read_text()), page.name
    told = [
        text for row in rows(sections((DOCS / "architecture.md").read_text(), "##")["Rooms"]) for text in code(row[0])
    ]
    assert f"builder/{room}/" in told or f"builder/{room}.py" in told


def test_all_pages_are_in_an_index() -> None:
    linked: set[Path] = set()
    for index in DOCS.rglob("index.md"):
        targets = re.findall(r"\]\(([^)#]+)", index.read_text())
        linked |= {(index.parent / target).resolve() for target in targets}
    ours = {page for page in PAGES if page.is_relative_to(DOCS) or page.parent == TOP}
    assert ours - {DOCS / "index.md"} <= linked


# --- what was really shown -------------------------------------------------------------------------


def test_the_transcript_is_of_the_demo() -> None:
    said = re.findall(r"^say (.+)$", (HELLO / "demo.sh").read_text(), re.MULTILINE)
    shown = re.findall(r"^\$ (.+)$", block(TOP / "README.md", "console demo"), re.MULTILINE)
    assert shown == said


def test_the_error_is_what_is_drawn() -> None:
    text = (HELLO / "Buildfile").read_text().replace("COPY", "COYP")
    with pytest.raises(BuildfileError) as caught:
        parse(Source("Wrongfile", text))
    assert draw(caught.value) in block(TOP / "README.md", "console error")


# --- the walk through one build --------------------------------------------------------------------

WALK = DOCS / "architecture.md"
APP = Entry("app", Kind.DIRECTORY, 0o755)
GREET = (HELLO / "greet.sh").read_bytes()


def a_file(path: str, mode: int, data: bytes) -> Entry:
    return Entry(path, Kind.FILE, mode, size=len(data), digest=Digest.of(data))


# What each step's layer holds, in the order of the steps; the base's is that of the machine the page was written on.
LAYERS = {
    "WORKDIR": (APP,),
    "COPY": (APP, a_file("app/greet.sh", 0o755, GREET)),
    "RUN": (
        APP,
        a_file("app/built.txt", 0o644, b"Hello, builder!\n"),
        *(Entry(name, Kind.DIRECTORY, 0o755) for name in ("dev", "proc", "sys")),
    ),
}
SELECTED = Digest.of(f"source 'greet.sh'\nfile '' 755 {Digest.of(GREET).hex}".encode())
BLOCKS = [
    *((WALK, f"json preimage {name}") for name in LAYERS),
    *((WALK, info) for info in ("content", "chains", "keys")),
    (DOCS / "cache.md", "json preimage COPY"),
]


class HelloBase(AnyImage):
    """The base of the example, as `import --from-host` makes it."""

    def base(self, reference: str, platform: Platform) -> Base:
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return Base(reference, Digest.of(b""), ImageConfig(platform, env=(("PATH", path),), cmd=("sh",)))


def listed(values: dict[str, Digest]) -> str:
    width = max(map(len, values)) + 2
    return "".join(f"{name:<{width}}{digest}\n" for name, digest in values.items())


def walked() -> dict[str, str]:
    """The blocks of the walk, computed."""
    base = Digest.parse(block(WALK, "content").split()[1])
    contents = {"hello-base": base} | {name: content_id(entries) for name, entries in LAYERS.items()}
    chains, below = {}, NOTHING
    for name, content in contents.items():
        below = chains[f"after {name}"] = chained(below, content)
    _, *steps = lower_text((HELLO / "Buildfile").read_text(), HelloBase()).vertices
    images = {
        name: preimage(step, dict(enumerate(chains.values())), (SELECTED,) if name == "COPY" else ())
        for name, step in zip(LAYERS, steps, strict=True)
    }
    pretty = {f"json preimage {name}": json.dumps(json.loads(image), indent=2) + "\n" for name, image in images.items()}
    keys = {name: key_of(image) for name, image in images.items()}
    return {"content": listed(contents), "chains": listed(chains), "keys": listed(keys), **pretty}


@pytest.mark.parametrize(("page", "info"), BLOCKS, ids=str)
def test_the_walk_is_what_is_computed(page: Path, info: str, accept: bool) -> None:
    """The figures change with the key format: --accept writes the new ones into the pages."""
    expected = walked()[info]
    if accept:
        shown = block(page, info)
        page.write_text(page.read_text().replace(f"```{info}\n{shown}```", f"```{info}\n{expected}```"))
    assert block(page, info) == expected
