"""`build`, and what shows a build without building: `graph`, `parse`."""

from __future__ import annotations

import os
from typing import Any

import click

from builder.cli.options import F, echo_json, names_options, pairs, progress_option, root_option, session
from builder.cli.resources import resource_options
from builder.image import pulling
from builder.request import AS_IS, CONTEXT_MODES, BuildRequest

_PULL_WORDS = {"true": pulling.ALWAYS, "false": pulling.MISSING}


class _Build(click.Command):
    """With `--pull` alone, as docker has it, beside `--pull=POLICY`; click would take the next word for its value."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        end = args.index("--") if "--" in args else len(args)
        return super().parse_args(
            ctx, [f"{a}={pulling.ALWAYS}" if a == "--pull" else a for a in args[:end]] + args[end:]
        )


def _recipe_options(command: F) -> F:
    for option in (
        click.argument("context", default=".", metavar="PATH"),
        click.option(
            "-f",
            "--file",
            metavar="FILE",
            help="The Buildfile; - is standard input. Default: Buildfile, Dockerfile or Containerfile in PATH.",
        ),
        click.option(
            "--target",
            default="",
            metavar="STAGE",
            help="Stage to build, by name or number. Default: the last.",
        ),
        click.option(
            "--build-arg",
            "build_args",
            multiple=True,
            metavar="NAME[=VALUE]",
            help="Value of an ARG; without =VALUE, from the environment.",
        ),
        click.option(
            "--source-date-epoch",
            default="",
            metavar="SECONDS|context",
            help="Time of all that is made, for images that are the same whenever built (also SOURCE_DATE_EPOCH).",
        ),
        click.option(
            "--platform",
            default="",
            metavar="OS/ARCH",
            help="Platform of the image. Default: this machine's.",
        ),
        click.option(
            "--build-context",
            "build_contexts",
            multiple=True,
            metavar="NAME=VALUE",
            help="What FROM NAME and --from=NAME mean: directory, docker-image://, oci-layout://, target:STAGE, URL.",
        ),
        root_option,
    ):
        command = option(command)
    return command


def contexts_of(values: tuple[str, ...]) -> dict[str, str]:
    """--build-context as a mapping."""
    found = {}
    for value in values:
        name, equals, rest = value.partition("=")
        if not (name and equals and rest):
            raise click.BadParameter(f"{value!r} is not NAME=VALUE", param_hint="--build-context")
        found[name] = rest
    return found


def arguments_of(build_args: tuple[str, ...], source_date_epoch: str) -> dict[str, str]:
    """The build arguments. --source-date-epoch is one too: it beats --build-arg, and that the environment."""
    found = dict(pairs(build_args, "--build-arg"))
    inherited = os.environ.get("SOURCE_DATE_EPOCH", "")
    if source_date_epoch or (inherited and "SOURCE_DATE_EPOCH" not in found):
        found["SOURCE_DATE_EPOCH"] = source_date_epoch or inherited
    return found


@click.command(cls=_Build)
@_recipe_options
@click.option("-t", "--tag", "tags", multiple=True, metavar="NAME[:TAG]", help="Name of the image; may be given often.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="Label of the image.")
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="SPEC",
    help="Also write: type=oci|docker|tar|local,dest=PATH.",
)
@click.option("--iidfile", metavar="FILE", help="Write the image ID to FILE.")
@click.option("--no-cache", is_flag=True, help="Run every step again.")
@click.option(
    "--no-cache-filter",
    multiple=True,
    metavar="STAGE[,STAGE]",
    help="Run the steps of these stages again, by name or number; may be given often.",
)
@click.option(
    "--no-cache-step",
    multiple=True,
    metavar="[FILE:]LINE",
    help="Run the step on this line of the Buildfile again; may be given often.",
)
@click.option(
    "--pull",
    type=click.Choice((*pulling.POLICIES, *_PULL_WORDS)),
    default=pulling.MISSING,
    metavar="[=always|missing|newer|never]",
    help="When to ask registries for base images; alone: always. Default: missing.",
)
@click.option(
    "--paranoid",
    is_flag=True,
    help="Trust nothing that is remembered: hash every file, and the layers of cached steps.",
)
@click.option(
    "--context-mode",
    type=click.Choice(CONTEXT_MODES),
    default=AS_IS,
    show_default=True,
    help="Modes of the context's files: as they are, or as git records them, whatever the umask.",
)
@click.option(
    "--network",
    type=click.Choice(("default", "host", "none")),
    default="default",
    show_default=True,
    help="Network of RUN steps.",
)
@names_options
@click.option(
    "--secret",
    "secrets",
    multiple=True,
    metavar="SPEC",
    help="Secret for RUN --mount=type=secret: id=NAME[,src=FILE|,env=VARIABLE][,cachekey=true].",
)
@click.option(
    "--ssh",
    multiple=True,
    metavar="ID[=SOCKET]",
    help="SSH agent for RUN --mount=type=ssh; without =SOCKET, the one of SSH_AUTH_SOCK.",
)
@click.option(
    "--allow",
    multiple=True,
    metavar="ENTITLEMENT",
    help="What RUN steps may ask for: network.host, security.insecure.",
)
@click.option(
    "-j",
    "--jobs",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="How many steps run at once.",
)
@click.option("--retry", metavar="N[,delay=TIME]", help="Try a RUN that failed again, N times, after TIME each.")
@click.option(
    "--keep-failed",
    type=click.IntRange(0),
    default=3,
    show_default=True,
    metavar="N",
    help="How many failed steps are kept for `pybuild shell --failed`.",
)
@click.option(
    "--on-fail-export",
    multiple=True,
    metavar="PATH:DEST",
    help="When a RUN fails, copy the file or directory PATH out of it to DEST.",
)
@click.option(
    "--step-export",
    multiple=True,
    metavar="STEP:PATH:DEST",
    help="Copy PATH out of a step that succeeds: of a stage, a line, or FILE:LINE.",
)
@click.option("--step-timeout", metavar="TIME", help="How long a RUN may take, as in 90s, 10m.")
@click.option("-q", "--quiet", is_flag=True, help="Print only the image ID.")
@click.option("--check", is_flag=True, help="Short for --call=check.")
@click.option(
    "--call",
    default="build",
    metavar="METHOD[,format=json]",
    help="What to do: build, or show what a check finds (check), what the target takes (outline), or the targets.",
)
@resource_options
@progress_option
def build(root: str | None, quiet: bool, check: bool, call: str, progress: str, **options: Any) -> None:
    """Build an image from the Buildfile and the build context in PATH."""
    # lazy: the command's own imports, so that --help is fast
    from builder.api.build import build as run_build

    request = request_of(**options)
    if check or call != "build":
        from builder.cli.lint import answer, parse_call

        method = parse_call("check" if check and call == "build" else call)
        if method is not None:
            answer(request, root, method)
            return
    with session(root, "quiet" if quiet else progress) as opened:
        result = run_build(opened, request)
    if quiet:
        click.echo(str(result.image))


def request_of(
    context: str,
    file: str | None,
    target: str,
    build_args: tuple[str, ...],
    source_date_epoch: str,
    platform: str,
    build_contexts: tuple[str, ...],
    tags: tuple[str, ...],
    labels: tuple[str, ...],
    outputs: tuple[str, ...],
    iidfile: str | None,
    no_cache: bool,
    no_cache_filter: tuple[str, ...],
    no_cache_step: tuple[str, ...],
    pull: str,
    paranoid: bool,
    context_mode: str,
    network: str,
    add_hosts: tuple[str, ...],
    dns: tuple[str, ...],
    dns_search: tuple[str, ...],
    dns_options: tuple[str, ...],
    secrets: tuple[str, ...],
    ssh: tuple[str, ...],
    allow: tuple[str, ...],
    jobs: int,
    retry: str | None,
    keep_failed: int,
    on_fail_export: tuple[str, ...],
    step_export: tuple[str, ...],
    step_timeout: str | None,
    resources: dict[str, Any],
) -> BuildRequest:
    """What the options of `build` ask for."""
    # lazy: as above
    from builder.api.resources import resources as parse_resources

    return BuildRequest(
        context=context,
        file=file,
        tags=tags,
        target=target,
        build_args=arguments_of(build_args, source_date_epoch),
        labels=pairs(labels, "--label"),
        outputs=outputs,
        iidfile=iidfile,
        no_cache=no_cache,
        no_cache_filter=no_cache_filter,
        no_cache_step=no_cache_step,
        pull=_PULL_WORDS.get(pull, pull),
        paranoid=paranoid,
        context_mode=context_mode,
        network=network,
        add_hosts=add_hosts,
        dns=dns,
        dns_search=dns_search,
        dns_options=dns_options,
        platform=platform,
        contexts=contexts_of(build_contexts),
        secrets=secrets,
        ssh=ssh,
        allow=allow,
        retry=retry,
        step_timeout=step_timeout,
        keep_failed=keep_failed,
        on_fail_export=on_fail_export,
        step_export=step_export,
        parallelism=jobs,
        resources=parse_resources(**resources),
    )


@click.command()
@_recipe_options
@click.option(
    "--format",
    "form",
    type=click.Choice(("text", "dot", "json")),
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
) -> None:
    """Show the steps of a build and what each needs, without building."""
    from builder.api.build import draw_graph

    request = BuildRequest(
        context=context,
        file=file,
        target=target,
        build_args=arguments_of(build_args, source_date_epoch),
        platform=platform,
        contexts=contexts_of(build_contexts),
    )
    with session(root) as opened:
        click.echo(draw_graph(opened, request, form))


@click.command()
@click.argument("context", default=".", metavar="PATH")
@click.option("-f", "--file", metavar="FILE", help="The Buildfile; - is standard input.")
@click.option("--format", "form", type=click.Choice(("json",)), default="json", show_default=True, help="Output form.")
def parse(context: str, file: str | None, form: str) -> None:
    """Print the syntax tree of a Buildfile with line spans."""
    from builder.api.build import parse as read

    echo_json(read(context, file))
