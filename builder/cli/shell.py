"""`shell`: what a step that failed has left, looked into."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from builder.cli.help import Command, command
from builder.cli.images import spell
from builder.cli.listing import Listing, echo_listing, no_trunc_option, quiet_option
from builder.cli.options import format_option, pairs, root_option, session
from builder.request import ShellRequest

if TYPE_CHECKING:
    from builder.api.shell import FailedStep


class WithCommand(Command):
    """A command whose words after `--` are kept apart from its arguments: click drops that mark."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click's, for what stands before the mark."""
        if "--" in args:
            at = args.index("--")
            ctx.meta["command"] = tuple(args[at + 1 :])
            args = args[:at]
        return super().parse_args(ctx, args)


@command(
    ("pybuild shell --failed", "look into the newest step that failed"),
    ('pybuild shell --failed --before -c "ls -la"', "run a command in the state before it"),
    ("pybuild shell --list", "see which failed steps are kept"),
    short="Open a shell in a step that failed",
    cls=WithCommand,
    options_metavar="--failed [OPTIONS]",
)
@click.option("--failed", is_flag=True, help="In the state a failed step left. What is changed there stays.")
@click.option("--before", is_flag=True, help="In the state before that step. What is changed there is thrown away.")
@click.option("-c", "script", metavar="COMMAND", help="Have the shell run COMMAND instead of reading it.")
@click.option("--secret", "secrets", multiple=True, metavar="SPEC", help="Secret for the step's mounts, as in a build.")
@click.option("--ssh", multiple=True, metavar="ID[=SOCKET]", help="SSH agent for the step's mounts, as in a build.")
@click.option("-e", "--env", "env", multiple=True, metavar="NAME[=VALUE]", help="Environment variable.")
@click.option("--list", "listed", is_flag=True, help="List the failed steps that are kept.")
@quiet_option("IDs of what is listed")
@no_trunc_option
@format_option
@root_option
@click.argument("step", default="", metavar="[BUILD|ID] [-- COMMAND…]")
@click.pass_context
def shell(
    ctx: click.Context,
    failed: bool,
    before: bool,
    script: str | None,
    secrets: tuple[str, ...],
    ssh: tuple[str, ...],
    env: tuple[str, ...],
    listed: bool,
    quiet: bool,
    no_trunc: bool,
    form: str,
    root: str | None,
    step: str,
) -> None:
    """Open a shell in a step that failed, with its environment, user, mounts and network."""
    from builder.api import shell as api

    if not failed:
        raise click.UsageError("shell opens a failed step: pybuild shell --failed")
    command: tuple[str, ...] = ctx.meta.get("command", ())
    if script is not None and command:
        raise click.UsageError("-c COMMAND and -- COMMAND exclude each other")
    with session(root, "plain") as opened:
        if listed:
            only = "ID" if quiet else ""
            echo_listing(_FAILED, api.failed(opened), form, whole=no_trunc, quiet=only, facts=_facts)
            return
        request = ShellRequest(step, before, command, script, secrets, ssh, pairs(env, "--env"))
        status = api.shell(opened, request)
    ctx.exit(status)


def _fields(step: FailedStep, whole: bool) -> dict[str, str]:
    return {
        "ID": step.id,
        "Line": f"{step.buildfile}:{step.line}",
        "Step": step.name if whole or len(step.name) <= 48 else f"{step.name[:47]}…",
        "Status": "timed out" if step.timed_out else f"Exited ({step.status})",
        "Failed": f"{spell(time.time() - step.ended)} ago",
    }


_FAILED = Listing(
    headings={"ID": "ID", "Line": "LINE", "Step": "STEP", "Status": "STATUS", "Failed": "FAILED"},
    columns=("ID", "Line", "Step", "Status", "Failed"),
    fields=_fields,
    shrinks=("Step",),
)


def _facts(step: FailedStep) -> dict[str, Any]:
    """What of a step is worth a look, under Docker's kind of names."""
    return {
        "ID": step.id,
        "Build": step.build,
        "Step": step.name,
        "Stage": step.stage,
        "Buildfile": step.buildfile,
        "Line": step.line,
        "Command": step.spec.argv,
        "Env": [f"{name}={value}" for name, value in step.spec.env],
        "WorkingDir": step.spec.cwd,
        "User": step.spec.user,
        "Network": str(step.spec.network),
        "Mounts": [mount.target for mount in step.mounts],
        "Secrets": [use.id for use in step.secrets],
        "Agents": [use.id for use in step.agents],
        "ExitCode": step.status,
        "TimedOut": step.timed_out,
        "Ended": step.ended,
    }
