"""`build`, and what shows a build without building: `graph`, `parse`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import click
from click.core import ParameterSource

from builder.cli.again import remembering
from builder.cli.aliases import alias_options, gathered_aliases
from builder.cli.help import command, section
from builder.cli.options import SHOWN, echo_json, offline_option, pairs, progress_option, session
from builder.cli.recipe import arguments_of, contexts_of, recipe_options
from builder.cli.registries import creds_option, gathered_registries, registry_options, verify_option
from builder.cli.resources import gathered_resources, resource_options
from builder.cli.results import result_options
from builder.cli.reuse import PULL_WORDS, reuse_options
from builder.cli.spelling import Choice
from builder.cli.steps import step_options
from builder.cli.timing import NAMES, timed, timing_options
from builder.errors import UsageError
from builder.request import BuildRequest, RegistryOptions, Volume
from builder.spans import span

# What is asked of the command, not of the build.
_ONE = ("logfile", *NAMES)
_OWN = ("root", "quiet", "check", "call", "progress", "registries", *_ONE)


def _debug(ctx: click.Context, option: click.Parameter, value: bool) -> None:
    if value:
        os.environ["PYBUILD_DEBUG"] = "1"


def _shown(quiet: bool, progress: str, context: click.Context | None = None) -> str:
    """How the work is shown. Raises UsageError for --quiet with another way, as buildx does."""
    source = (context or click.get_current_context()).get_parameter_source("progress")
    if quiet and progress not in ("auto", "quiet") and source is ParameterSource.COMMANDLINE:
        raise UsageError(f"--quiet and --progress={progress} do not go together", hint="leave one of them away")
    return "quiet" if quiet else progress


@command(
    ("pybuild build -t app .", "build the Buildfile here, and call the image app"),
    ("pybuild build -f docker/Dockerfile --target test .", "build up to the stage test of another file"),
    (
        "pybuild build --build-arg VERSION=2 --secret id=token,env=TOKEN .",
        "give it an argument, and a secret that is not kept",
    ),
    (
        "pybuild build --platform linux/amd64,linux/arm64 -t example.org/app --push .",
        "build for two platforms, and push both",
    ),
    ("pybuild build -o type=local,dest=out .", "write the files of the image to a directory"),
    ("pybuild build --progress plain --no-cache .", "run all steps again, and see all they print"),
    ("pybuild build https://example.org/app.git#main:sub", "build a directory of a git repository"),
    short="Build an image from a Buildfile and its context",
)
@recipe_options
@result_options
@reuse_options
@step_options
@resource_options
@registry_options
@creds_option
@offline_option
@verify_option
@section(
    SHOWN,
    click.option("-q", "--quiet", is_flag=True, help="Print only the image ID."),
    progress_option,
    timing_options,
    click.option(
        "-D",
        "--debug",
        is_flag=True,
        expose_value=False,
        callback=_debug,
        help="Show where pybuild itself fails, if it does (also PYBUILD_DEBUG).",
    ),
    click.option("--check", is_flag=True, help="Short for --call=check."),
    click.option(
        "--call",
        "--print",
        "call",
        default="build",
        metavar="METHOD[,format=json]",
        help="What to do: build, or show what a check finds (check), what the target takes (outline), or the targets.",
    ),
)
@alias_options
def build(
    root: str | None,
    quiet: bool,
    check: bool,
    call: str,
    progress: str,
    timings: bool,
    trace: str | None,
    report: str | None,
    logfile: str | None,
    registries: RegistryOptions,
    **options: Any,
) -> None:
    """Build an image from the Buildfile and the build context in PATH."""
    with timed(timings, trace, report) as watched:
        with span("start-up"):
            # lazy: the command's own imports, so that --help is fast
            from builder.api.build import build as run_build

        request = request_of(**options)
        if check or call != "build":
            from builder.cli.lint import answer, parse_call

            if check and call not in ("build", "check"):
                raise UsageError(f"--check and --call={call} do not go together", hint="leave one of them away")
            method = parse_call("check" if check and call == "build" else call)
            if method is not None:
                answer(request, root, method, registries)
                return
        shown = _shown(quiet, progress)
        with session(root, shown, registries, logfile) as opened:
            watched(opened)
            told = remembering(opened, request, shown) if logfile is None else None
            result = run_build(opened, request, told)
    if shown == "quiet":
        click.echo(str(result.image), err=result.streamed)


def request_from(name: str, arguments: Sequence[str], purpose: str) -> tuple[BuildRequest, str, RegistryOptions]:
    """What `arguments`, those of `build`, ask of the command `name`, how its work is shown, and registries spoken to.

    Raises UsageError for those that build nothing, as there is then nothing for the `purpose`, a verb.
    """
    with build.make_context(name, [*arguments], parent=click.get_current_context().parent) as context:
        options = gathered_aliases(gathered_registries(gathered_resources(context.params)))
        own = {option: options.pop(option) for option in _OWN}
        if own["check"] or own["call"] != "build":
            raise click.UsageError(f"--check and --call do not build: there is nothing to {purpose}.")
        if any(own[option] for option in _ONE):
            raise click.UsageError("--timings, --trace, --report and --logfile are of one build, which they follow.")
        progress = _shown(own["quiet"], own["progress"], context)
        return request_of(**options), progress, own["registries"]


def request_of(resources: dict[str, Any], **given: Any) -> BuildRequest:
    """What the options of `build` ask for. Those not named here are called as the fields are."""
    # lazy: as above
    from builder.api.resources import resources as parse_resources

    pull = given.pop("pull")
    return BuildRequest(
        build_args=arguments_of(given.pop("build_args"), given.pop("source_date_epoch")),
        contexts=contexts_of(given.pop("build_contexts")),
        labels=tuple(_label(text) for text in given.pop("labels")),
        pull=PULL_WORDS.get(pull, pull),
        resources=parse_resources(**resources),
        env=pairs(given.pop("env"), "--env"),
        volumes=tuple(map(Volume.parse, given.pop("volumes"))),
        **given,
    )


def _label(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    if not name:
        raise click.BadParameter(f"{text!r} has no name", param_hint="--label")
    return name, value


@command(
    ("pybuild graph .", "see the steps in order"),
    ("pybuild graph --format dot .", "draw them, with Graphviz"),
    short="Show the steps of a build and what each needs",
)
@recipe_options
@registry_options
@creds_option
@click.option(
    "--format",
    "form",
    type=Choice(("text", "dot", "json")),
    default="text",
    show_default=True,
    help="Output form.",
)
def graph(
    context: str,
    file: str | None,
    target: str,
    build_args: tuple[str, ...],
    source_date_epoch: str,
    platform: str,
    build_contexts: tuple[str, ...],
    root: str | None,
    form: str,
    registries: RegistryOptions,
) -> None:
    """Show the steps of a build and what each needs, without building."""
    from builder.api.drawn import draw_graph

    request = BuildRequest(
        context=context,
        file=file,
        target=target,
        build_args=arguments_of(build_args, source_date_epoch),
        platform=platform,
        contexts=contexts_of(build_contexts),
    )
    with session(root, registries=registries) as opened:
        click.echo(draw_graph(opened, request, form))


@command(
    ("pybuild parse .", "see the syntax tree"),
    ("pybuild parse -f other/Dockerfile .", "see that of another file"),
)
@click.argument("context", default=".", metavar="PATH")
@click.option("-f", "--file", metavar="FILE", help="The Buildfile; - is standard input.")
@click.option("--format", "form", type=Choice(("json",)), default="json", show_default=True, help="Output form.")
def parse(context: str, file: str | None, form: str) -> None:
    """Print the syntax tree of a Buildfile with line spans."""
    from builder.api.drawn import parse as read

    echo_json(read(context, file))
