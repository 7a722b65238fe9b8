"""`logs`: what a container or a step of a build printed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from builder.cli.help import command
from builder.cli.images import spell
from builder.cli.listing import Listing, echo_listing, no_trunc_option, quiet_option
from builder.cli.options import JSON, format_option, root_option, session

if TYPE_CHECKING:
    from builder.api.logs import Build, Step


@command(
    ("pybuild logs -f web", "follow what a container prints"),
    ("pybuild logs last", "see what the step printed that failed last"),
    ("pybuild logs last 7", "see what that on line 7 printed"),
    short="Print what a container or a step has printed",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what a container prints, until it ends.")
@click.option("-n", "--tail", default="all", metavar="N", help="Only the last N lines of a container; default: all.")
@click.option("-t", "--timestamps", is_flag=True, help="Say when a container printed each line.")
@click.option("--list", "listed", is_flag=True, help="List the builds there are logs of, or the steps of BUILD.")
@quiet_option("IDs of what is listed")
@no_trunc_option
@format_option
@root_option
@click.argument("build", default="", metavar="[CONTAINER|BUILD]")
@click.argument("step", default="")
def logs(
    follow: bool,
    tail: str,
    timestamps: bool,
    listed: bool,
    quiet: bool,
    no_trunc: bool,
    form: str,
    root: str | None,
    build: str,
    step: str,
) -> None:
    """Print what CONTAINER has printed, each stream on its own.

    Or what STEP of BUILD printed; without them, what the step printed that made the last build fail.
    """
    from builder.api import logs as api

    with session(root) as opened:
        if build and not step and not listed and api.is_container(opened, build):
            # lazy: only for containers
            from builder.api.running import printed
            from builder.cli.streams import show

            show(printed(opened, build, follow=follow), tail, timestamps=timestamps)
            return
        if follow or timestamps or tail != "all":
            raise click.UsageError("-f, -n and -t go with a container that is there")
        if listed:
            builds = [api.find(opened, build)[0]] if build else api.listed(opened)
            _list(builds, bool(build), form, quiet, no_trunc)
            return
        found, steps = api.find(opened, build, step)
        for one in steps:
            if len(steps) > 1:
                click.echo(f"==> {one.number} {one.name} <==")
            for data in api.printed(opened, found, one):
                click.echo(data, nl=False)


def _step_fields(step: Step, whole: bool, buildfile: str) -> dict[str, str]:
    return {
        "ID": str(step.number),
        "Line": f"{buildfile}:{step.line}",
        "Name": _short(step.name, whole),
        "State": step.state,
        "Time": f"{step.seconds:.1f}s",
    }


def _build_fields(build: Build, whole: bool) -> dict[str, str]:
    return {
        "ID": build.id,
        "Buildfile": build.buildfile,
        "Started": f"{spell(time.time() - build.started)} ago",
        "Ran": str(sum(step.ran for step in build.steps)),
        "Failed": ", ".join(_short(step.name, whole) for step in build.steps if step.state == "failed"),
    }


_BUILDS = Listing(
    headings={"ID": "BUILD", "Buildfile": "BUILDFILE", "Started": "STARTED", "Ran": "RAN", "Failed": "FAILED"},
    columns=("ID", "Buildfile", "Started", "Ran", "Failed"),
    fields=_build_fields,
    shrinks=("Buildfile", "Failed"),
)
_STEPS = {"ID": "STEP", "Line": "LINE", "Name": "NAME", "State": "STATE", "Time": "TIME"}


def _list(builds: list[Build], steps: bool, form: str, quiet: bool, whole: bool) -> None:
    """The builds, or the steps of the one there is; JSON has both in any case."""
    only = "ID" if quiet else ""
    if not steps or (form == JSON and not quiet):
        echo_listing(_BUILDS, builds, form, whole=whole, quiet=only)
        return
    (build,) = builds
    listing: Listing[Step] = Listing(
        _STEPS, tuple(_STEPS), lambda s, w: _step_fields(s, w, build.buildfile), shrinks=("Name",)
    )
    echo_listing(listing, build.steps, form, whole=whole, quiet=only)


def _short(name: str, whole: bool) -> str:
    return name if whole or len(name) <= 48 else f"{name[:47]}…"
