"""Containers that run: `start`, `restart`, `stop`, `kill`, `wait`, `exec`."""

from __future__ import annotations

import click

from builder.cli.help import command
from builder.cli.options import pairs, root_option, session
from builder.request import ExecRequest

_containers = click.argument("containers", nargs=-1, required=True, metavar="CONTAINER…")
_time = click.option(
    "-t", "--time", "--timeout", "seconds", type=int, default=10, show_default=True, metavar="SECONDS",
    help="How long it may take to end by itself; -1: as long as it likes.",
)  # fmt: skip


@command(
    ("pybuild start web", "run it again in the background"),
    ("pybuild start -a web", "see what it prints"),
    short="Run containers again that have ended",
)
@click.option("-a", "--attach", is_flag=True, help="In the foreground, with its output shown and its exit status.")
@click.option("-i", "--interactive", is_flag=True, help="In the foreground, and with this standard input.")
@root_option
@_containers
def start(attach: bool, interactive: bool, root: str | None, containers: tuple[str, ...]) -> None:
    """Run containers again that have ended, on the files they left."""
    from builder.api.running import start as start_one

    attach = attach or interactive
    if attach and len(containers) > 1:
        raise click.UsageError("with -a or -i one container is started at a time")
    status = 0
    with session(root, "plain") as opened:
        for name in containers:
            status = start_one(opened, name, attach=attach, interactive=interactive) or status
            if not attach:
                click.echo(name)
    click.get_current_context().exit(status)


@command(
    ("pybuild stop web", "end it, at most ten seconds from now"),
    ("pybuild stop -t 60 web", "give it more time"),
    short="End containers",
)
@_time
@root_option
@_containers
def stop(seconds: int, root: str | None, containers: tuple[str, ...]) -> None:
    """End containers: by their images' stop signal, and by SIGKILL when that is not enough."""
    from builder.api.running import stop as stop_one

    with session(root) as opened:
        for name in containers:
            stop_one(opened, name, seconds)
            click.echo(name)


@command(
    ("pybuild restart web", "stop it and start it again"),
)
@_time
@root_option
@_containers
def restart(seconds: int, root: str | None, containers: tuple[str, ...]) -> None:
    """Stop containers and start them again."""
    from builder.api.running import start, stop

    status = 0
    with session(root, "plain") as opened:
        for name in containers:
            stop(opened, name, seconds)
            status = start(opened, name) or status
            click.echo(name)
    click.get_current_context().exit(status)


@command(
    ("pybuild kill web", "end it at once"),
    ("pybuild kill -s HUP web", "have it read its settings again"),
)
@click.option("-s", "--signal", "number", default="KILL", show_default=True, metavar="SIGNAL", help="Name or number.")
@root_option
@_containers
def kill(number: str, root: str | None, containers: tuple[str, ...]) -> None:
    """Send containers a signal."""
    from builder.api.running import kill as kill_one

    with session(root) as opened:
        for name in containers:
            kill_one(opened, name, number)
            click.echo(name)


@command(
    ("pybuild wait web", "wait until it has ended"),
    short="Wait for containers, print their exit statuses",
)
@root_option
@_containers
def wait(root: str | None, containers: tuple[str, ...]) -> None:
    """Wait until containers have ended, and print their exit statuses."""
    from builder.api.running import wait as wait_one

    with session(root) as opened:
        for name in containers:
            click.echo(wait_one(opened, name))


@command(
    ("pybuild exec -it web sh", "have a shell in a container that runs"),
    ("pybuild exec -e A=1 web env", "run one command in it"),
    name="exec",
    context_settings={"allow_interspersed_args": False},
)
@click.option("-d", "--detach", is_flag=True, help="Return when it has begun.")
@click.option("-i", "--interactive", is_flag=True, help="Give it this standard input.")
@click.option("-t", "--tty", "terminal", is_flag=True, help="Give it a terminal.")
@click.option("-e", "--env", "env", multiple=True, metavar="NAME[=VALUE]", help="Environment variable.")
@click.option("-u", "--user", metavar="NAME|UID[:GROUP|GID]", help="User to run as; default: the container's.")
@click.option("-w", "--workdir", metavar="DIR", help="Working directory; default: the container's.")
@root_option
@click.argument("container")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def execute(
    detach: bool,
    interactive: bool,
    terminal: bool,
    env: tuple[str, ...],
    user: str | None,
    workdir: str | None,
    root: str | None,
    container: str,
    command: tuple[str, ...],
) -> None:
    """Run COMMAND in CONTAINER, which runs."""
    from builder.api.running import execute as run_inside

    request = ExecRequest(
        container=container,
        command=command,
        env=pairs(env, "--env"),
        user=user,
        workdir=workdir,
        interactive=interactive,
        terminal=terminal,
        detach=detach,
    )
    with session(root, "plain") as opened:
        status = run_inside(opened, request)
    click.get_current_context().exit(status)
