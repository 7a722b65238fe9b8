"""`bake`: several images at once, from a bake file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from builder.cli.help import command, section
from builder.cli.lint import Call, answer_in, answered, parse_call
from builder.cli.options import SHOWN, echo_json, echo_table, offline_option, progress_option, root_option, session
from builder.cli.registries import registry_options, verify_option
from builder.progress.clean import clean
from builder.request import BuildRequest, RegistryOptions

if TYPE_CHECKING:
    from builder.api.session import Session
    from builder.bake.definitions import Config
    from builder.bake.project import Project

_LISTS = ("targets", "variables")
_DEFINED = (
    click.option(
        "-f",
        "--file",
        "files",
        multiple=True,
        metavar="FILE",
        help="Bake file (HCL, JSON) or compose file; may be given often. Default: docker-bake.hcl and its like.",
    ),
    click.option(
        "--set",
        "overrides",
        multiple=True,
        metavar="TARGET.key[+]=VALUE",
        help="Value over that of the file, such as *.platform=linux/arm64; += adds to it. May be given often.",
    ),
    click.option(
        "--var", "variables", multiple=True, metavar="NAME=VALUE", help="Value of a variable, over the environment."
    ),
)
_ALL = (
    click.option("--load", is_flag=True, help="Keep the images in the store: short for --set=*.output=type=docker."),
    click.option("--push", is_flag=True, help="Push the images: short for --set=*.output=type=registry."),
    click.option("--no-cache", is_flag=True, default=None, help="Run every step again."),
    click.option("--pull", is_flag=True, default=None, help="Ask registries for newer base images."),
    click.option(
        "--provenance",
        flag_value="true",
        is_flag=False,
        metavar="[=BOOL|mode=min|max,…]",
        help="Tell how the images came about: short for --set=*.attest=type=provenance.",
    ),
    click.option(
        "--sbom",
        flag_value="true",
        is_flag=False,
        metavar="[=BOOL|format=spdx|cyclonedx]",
        help="Tell what packages are in them: short for --set=*.attest=type=sbom.",
    ),
    click.option(
        "--allow",
        multiple=True,
        metavar="WHAT",
        help="What targets may reach: fs=PATH, fs.read=PATH, fs.write=PATH, ssh, network.host, security.insecure.",
    ),
    click.option(
        "-j",
        "--jobs",
        "parallelism",
        type=click.IntRange(1, 64),
        default=4,
        show_default=True,
        help="How many steps run at once, of all targets together.",
    ),
    click.option("--metadata-file", metavar="FILE", help="Write what was made to FILE, by target, as JSON."),
)
_INSTEAD = (
    click.option("--print", "shown", is_flag=True, help="Print what would be built, as JSON, and build nothing."),
    click.option(
        "--list",
        "listed",
        metavar="targets|variables[,format=json]",
        help="List the targets or the variables, and build nothing.",
    ),
    click.option("--check", is_flag=True, help="Short for --call=check."),
    click.option(
        "--call",
        default="build",
        metavar="METHOD[,format=json]",
        help="What to do with each target: build it, or check, outline, targets, as in build.",
    ),
)


@command(
    ("pybuild bake", "build the group or target called default"),
    ("pybuild bake app 'db-*' --set '*.platform=linux/arm64'", "build these targets for another platform"),
    ("pybuild bake --print -f docker-bake.hcl release", "see what a target comes to"),
    ("pybuild bake --var TAG=1.2 --push release", "build and push under a tag"),
)
@click.argument("targets", nargs=-1, metavar="[TARGET…]")
@section("What is built", *_DEFINED)
@section("For all targets", *_ALL)
@section("Instead of building", *_INSTEAD)
@section(SHOWN, progress_option)
@registry_options
@offline_option
@verify_option
@root_option
def bake(
    targets: tuple[str, ...],
    variables: tuple[str, ...],
    shown: bool,
    listed: str | None,
    check: bool,
    call: str,
    progress: str,
    root: str | None,
    registries: RegistryOptions,
    **options: Any,
) -> None:
    """Build several images at once, as a bake file defines them."""
    from builder.api import bake as baking

    if shown and listed is not None:
        raise click.UsageError("--print and --list exclude each other.")
    method = parse_call("check" if check and call == "build" else call)
    named = None if method is None else method.method
    request = baking.BakeRequest(targets=targets, variables=_variables(variables), call=named, **options)
    config = baking.load(request)
    for warning in config.warnings:
        click.echo(f"WARNING: {clean(warning)}", err=True)
    if listed is not None:
        _list(config, listed)
        return
    meant = baking.chosen(config, request)
    if shown:
        echo_json(baking.printed(meant))
        return
    asked, names = baking.requests(meant, request), baking.built(meant)
    calls = _calls(meant, method)
    with session(root, progress, registries) as opened:
        if names:
            baking.bake(opened, meant, request)
        answers = {name: asked[name] for name in sorted(calls)}
        if method is not None and method.form == "json":
            status = _documents(opened, baking.printed(meant), answers, calls)
        else:
            status = _answers(opened, meant, answers, calls)
    if status:
        click.get_current_context().exit(status)


def _calls(meant: Project, given: Call | None) -> dict[str, Call]:
    """What targets are called for that are not built. Raises UsageError for what there is not."""
    found = {}
    for name, target in meant.targets.items():
        call = parse_call(target.get("call", "build"))
        if call is not None:
            found[name] = call if given is None else given
    return found


def _answers(opened: Session, meant: Project, asked: Mapping[str, BuildRequest], calls: Mapping[str, Call]) -> int:
    """What they are called for, each under its name."""
    status = 0
    for number, (name, request) in enumerate(asked.items()):
        click.echo(f"{chr(10) if number else ''}{name}")
        description = meant.targets[name].get("description", "")
        click.echo(f"{clean(description)}\n" if description else "")
        status = answer_in(opened, request, calls[name]) or status
    return status


def _documents(
    opened: Session, printed: dict[str, Any], asked: Mapping[str, BuildRequest], calls: Mapping[str, Call]
) -> int:
    """The same as one document, beside what would be built, as buildx has it."""
    status, targets = 0, {name: {"build": build} for name, build in printed["target"].items()}
    for name, request in asked.items():
        targets[name][calls[name].method], own = answered(opened, request, calls[name])
        status = own or status
    echo_json({**printed, "target": targets})
    return status


def _list(config: Config, text: str) -> None:
    """The targets and groups, or the variables, as `[type=]targets[,format=json]` says."""
    pairs = (part.partition("=") for part in text.split(","))
    parts = {name if equals else "type": value if equals else name for name, equals, value in pairs}
    kind, form = parts.get("type"), parts.get("format", "table")
    if kind not in _LISTS or form not in ("table", "json") or set(parts) - {"type", "format"}:
        raise click.BadParameter(f"{text!r} is not targets or variables[,format=json|table]", param_hint="--list")
    rows = _targets(config) if kind == "targets" else _all_variables(config)
    if form == "json":
        echo_json([{key: value for key, value in row.items() if value not in ("", False)} for row in rows])
    elif kind == "targets":
        echo_table(("TARGET", "DESCRIPTION"), [(row["name"], clean(row["description"])) for row in rows])
    else:
        values = ["<null>" if row["value"] is None else clean(row["value"]) for row in rows]
        shown = [(r["name"], r["type"], v, clean(r["description"])) for r, v in zip(rows, values, strict=True)]
        echo_table(("VARIABLE", "TYPE", "VALUE", "DESCRIPTION"), shown)


def _targets(config: Config) -> list[dict[str, Any]]:
    found = [{"name": n, "description": t.get("description", ""), "group": False} for n, t in config.targets.items()]
    for name, group in config.groups.items():
        members = ", ".join(sorted(group.targets))
        told = f"{group.description} ({members})" if group.description else members
        found.append({"name": name, "description": told, "group": True})
    # those that begin with _ are there for others to inherit
    return sorted((row for row in found if not row["name"].startswith("_")), key=lambda row: row["name"])


def _all_variables(config: Config) -> list[dict[str, Any]]:
    return [
        {"name": one.name, "type": one.type, "value": one.value, "description": one.description}
        for one in config.variables
    ]


def _variables(texts: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--var")
        found[name] = value
    return found
