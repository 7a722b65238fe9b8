"""`logs`: what a container or a step of a build printed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from builder.cli.help import command
from builder.cli.images import spell
from builder.cli.options import echo_json, echo_table, format_option, root_option, session

if TYPE_CHECKING:
    from builder.api.logs import Build


@command()
@click.option("-f", "--follow", is_flag=True, help="Go on with what a container prints, until it ends.")
@click.option("-n", "--tail", default="all", metavar="N", help="Only the last N lines of a container; default: all.")
@click.option("-t", "--timestamps", is_flag=True, help="Say when a container printed each line.")
@click.option("--list", "listed", is_flag=True, help="List the builds there are logs of, or the steps of BUILD.")
@format_option
@root_option
@click.argument("build", default="", metavar="[CONTAINER|BUILD]")
@click.argument("step", default="")
def logs(
    follow: bool, tail: str, timestamps: bool, listed: bool, form: str, root: str | None, build: str, step: str
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
            _list(api.listed(opened) if not build else [api.find(opened, build)[0]], bool(build), form)
            return
        found, steps = api.find(opened, build, step)
        for one in steps:
            if len(steps) > 1:
                click.echo(f"==> {one.number} {one.name} <==")
            for data in api.printed(opened, found, one):
                click.echo(data, nl=False)


def _list(builds: list[Build], steps: bool, form: str) -> None:
    if form == "json":
        echo_json(builds)
        return
    now = time.time()
    if steps:
        (build,) = builds
        rows = [
            (str(s.number), f"{build.buildfile}:{s.line}", _short(s.name), s.state, f"{s.seconds:.1f}s")
            for s in build.steps
        ]
        echo_table(("STEP", "LINE", "NAME", "STATE", "TIME"), rows)
        return
    echo_table(
        ("BUILD", "BUILDFILE", "STARTED", "RAN", "FAILED"),
        [
            (
                build.id,
                build.buildfile,
                f"{spell(now - build.started)} ago",
                str(sum(step.ran for step in build.steps)),
                ", ".join(_short(step.name) for step in build.steps if step.state == "failed"),
            )
            for build in builds
        ],
    )


def _short(name: str) -> str:
    return name if len(name) <= 48 else f"{name[:47]}…"
