"""`run` and what it leaves, taken away: `rm`."""

from __future__ import annotations

from typing import Any

import click

from builder.cli.aliases import settled
from builder.cli.help import command, section
from builder.cli.options import (
    NETWORK,
    names_options,
    offline_option,
    pairs,
    root_option,
    session,
)
from builder.cli.registries import creds_option, registry_options, verify_option
from builder.cli.resources import resource_options
from builder.cli.spelling import Choice
from builder.request import RegistryOptions, RunRequest, Volume


@command(
    ("pybuild run --rm app", "run what the image says, and keep nothing"),
    ("pybuild run -it --rm app sh", "have a shell in it"),
    ("pybuild run -d --name web -e PORT=80 -v ./data:/data app", "run it in the background, with a directory of yours"),
    ("pybuild run --rm -m 512m --cpus 1.5 app make", "limit what it may use"),
    short="Run a command in a container of an image",
    context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False},
)
@click.option("-d", "--detach", is_flag=True, help="Print its ID and return; it lives on.")
@click.option("--rm", "remove", is_flag=True, help="Remove the container when it has ended.")
@click.option("-i", "--interactive", is_flag=True, help="Give it this standard input.")
@click.option("-t", "--tty", "terminal", is_flag=True, help="Give it a terminal.")
@click.option("-e", "--env", "env", multiple=True, metavar="NAME[=VALUE]", help="Environment variable.")
@click.option("-u", "--user", metavar="NAME|UID[:GROUP|GID]", help="User to run as.")
@click.option("-w", "--workdir", metavar="DIR", help="Working directory.")
@click.option(
    "-v",
    "--volume",
    "volumes",
    multiple=True,
    metavar="SRC:DST[:ro]",
    help="Directory or file of this machine to show in it.",
)
@click.option(
    "--platform",
    default="",
    envvar="DOCKER_DEFAULT_PLATFORM",
    metavar="OS/ARCH",
    help="Which image of several; default: this machine's.",
)
@click.option("--entrypoint", metavar="PROGRAM", help="Instead of the image's entrypoint; empty for none.")
@section(
    NETWORK,
    click.option(
        "--network",
        type=Choice(("default", "host", "none")),
        default="default",
        show_default=True,
        help="Its network.",
    ),
)
@names_options
@click.option("-h", "--hostname", metavar="NAME", help="Its host name.")
@click.option("--read-only", is_flag=True, help="Nothing of its root may be written.")
@click.option("--name", metavar="NAME", help="Name of the container.")
@click.option("--cidfile", metavar="FILE", help="Write the ID to FILE, which must be new.")
@click.option(
    "--security-opt", "security", multiple=True, metavar="OPTION", help="no-new-privileges or seccomp=unconfined."
)
@click.option("--oom-score-adj", type=int, metavar="N", help="How soon it is killed for memory, -1000 to 1000.")
@settled("--init", True, "process 1 of a container is always one that reaps")
@resource_options
@registry_options
@creds_option
@offline_option
@verify_option
@root_option
@click.help_option("--help")
@click.argument("image")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def run(
    detach: bool,
    remove: bool,
    interactive: bool,
    terminal: bool,
    env: tuple[str, ...],
    user: str | None,
    workdir: str | None,
    volumes: tuple[str, ...],
    platform: str,
    entrypoint: str | None,
    network: str,
    add_hosts: tuple[str, ...],
    dns: tuple[str, ...],
    dns_search: tuple[str, ...],
    dns_options: tuple[str, ...],
    hostname: str | None,
    read_only: bool,
    name: str | None,
    cidfile: str | None,
    security: tuple[str, ...],
    oom_score_adj: int | None,
    root: str | None,
    image: str,
    command: tuple[str, ...],
    resources: dict[str, Any],
    registries: RegistryOptions,
) -> None:
    """Run COMMAND, or what the image says, in a container of IMAGE."""
    from builder.api.containers import run as run_container
    from builder.api.resources import resources as parse_resources

    request = RunRequest(
        image=image,
        command=command,
        platform=platform,
        entrypoint=entrypoint,
        env=pairs(env, "--env"),
        user=user,
        workdir=workdir,
        volumes=tuple(map(Volume.parse, volumes)),
        network=network,
        add_hosts=add_hosts,
        dns=dns,
        dns_search=dns_search,
        dns_options=dns_options,
        hostname=hostname,
        name=name,
        read_only=read_only,
        remove=remove,
        interactive=interactive,
        terminal=terminal,
        resources=parse_resources(**resources, oom_score_adj=oom_score_adj),
        security=security,
        detach=detach,
        cidfile=cidfile,
    )
    with session(root, "plain", registries) as opened:
        status = run_container(opened, request, click.echo)
    click.get_current_context().exit(status)


@command(
    ("pybuild rm web", "remove it"),
    ("pybuild rm -f web", "remove it, though it runs"),
)
@click.argument("containers", nargs=-1, required=True, metavar="CONTAINER…")
@click.option("-f", "--force", is_flag=True, help="Also those that run: they are killed.")
@root_option
def rm(containers: tuple[str, ...], force: bool, root: str | None) -> None:
    """Remove containers."""
    from builder.api.containers import remove

    with session(root) as opened:
        for name in containers:
            click.echo(remove(opened, name, force=force))
