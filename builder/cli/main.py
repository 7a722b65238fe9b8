"""The program `pybuild`: finds the command, and turns errors into messages and exit codes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from builder.cli.lazy import LazyGroup
from builder.errors import PybuildError

# command → module:attribute, so that only what is called is imported
COMMANDS = {
    "build": "builder.cli.build:build",
    "verify-reproducible": "builder.cli.reproducible:verify",
    "logs": "builder.cli.logs:logs",
    "shell": "builder.cli.shell:shell",
    "plan": "builder.cli.plan:plan",
    "lock": "builder.cli.lock:lock",
    "graph": "builder.cli.build:graph",
    "parse": "builder.cli.build:parse",
    "lint": "builder.cli.lint:lint",
    "context": "builder.cli.context:context",
    "import": "builder.cli.images:import_",
    "load": "builder.cli.images:load",
    "save": "builder.cli.images:save",
    "pull": "builder.cli.pull:pull",
    "push": "builder.cli.push:push",
    "images": "builder.cli.images:images",
    "inspect": "builder.cli.images:inspect",
    "history": "builder.cli.images:history",
    "sbom": "builder.cli.sbom:sbom",
    "tag": "builder.cli.images:tag",
    "rmi": "builder.cli.images:rmi",
    "manifest": "builder.cli.manifest:manifest",
    "run": "builder.cli.containers:run",
    "start": "builder.cli.running:start",
    "exec": "builder.cli.running:execute",
    "stop": "builder.cli.running:stop",
    "restart": "builder.cli.running:restart",
    "kill": "builder.cli.running:kill",
    "wait": "builder.cli.running:wait",
    "ps": "builder.cli.containers:ps",
    "rm": "builder.cli.containers:rm",
    "diff": "builder.cli.changes:diff",
    "commit": "builder.cli.changes:commit",
    "cp": "builder.cli.changes:cp",
    "export": "builder.cli.changes:export",
    "cache": "builder.cli.cache:cache",
    "image": "builder.cli.df:image",
    "container": "builder.cli.df:container",
    "system": "builder.cli.df:system",
    "keygen": "builder.cli.keygen:keygen",
    "login": "builder.cli.login:login",
    "logout": "builder.cli.login:logout",
    "doctor": "builder.cli.system:doctor",
    "version": "builder.cli.system:version",
}
_INTERRUPTED = 130
_TERMINATED = 143


@click.group(
    cls=LazyGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True
)
@click.option("--root", metavar="DIR", help="Directory of the store (also PYBUILD_ROOT).")
@click.option("--version", is_flag=True, help="Show the version and exit.")
@click.pass_context
def pybuild(ctx: click.Context, root: str | None, version: bool) -> None:
    """Build container images from Dockerfile-like recipes, without a daemon.

    `pybuild [OPTIONS] PATH` is short for `pybuild build [OPTIONS] PATH`.
    """
    ctx.obj = Path(root) if root else None
    if version:
        # lazy: nothing else needs it here
        from builder.version import __version__

        click.echo(f"pybuild {__version__}")
        ctx.exit()
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def with_default_command(arguments: Sequence[str]) -> list[str]:
    """`pybuild -f Buildfile .` is `pybuild build -f Buildfile .`: the command put in where none is named."""
    found = list(arguments)
    at = _command_at(found)
    if at >= len(found) or found[at] in COMMANDS or found[at] in ("-h", "--help", "--version"):
        return found
    word = found[at]
    if word.startswith("-") or os.path.exists(word) or "/" in word:
        found.insert(at, "build")
    return found


def _command_at(words: Sequence[str]) -> int:
    """Where the command stands: after the options of the program itself."""
    at = 0
    while at < len(words) and words[at].startswith("--root"):
        at += 1 if "=" in words[at] else 2
    return at


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program and exit. Exit codes: builder/errors.py and docs/cli.md."""
    words = with_default_command(sys.argv[1:] if arguments is None else arguments)
    signal.signal(signal.SIGTERM, _terminate)
    at = _command_at(words)
    called = words[at : at + 3]
    failure = 125 if called[:1] in (["run"], ["shell"], ["exec"]) or called == ["cache", "mount", "shell"] else 0
    try:
        status = pybuild.main(words, prog_name="pybuild", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as error:
        status = error.exit_code
    except click.ClickException as error:
        error.show()
        status = failure or error.exit_code
    except PybuildError as error:
        # lazy: only an error needs it
        from builder.cli.report import draw

        click.echo(draw(error), err=True)
        status = failure or error.exit_code
    except _Terminated:
        status = _TERMINATED
    except (KeyboardInterrupt, click.exceptions.Abort):
        click.echo("pybuild: canceled", err=True)
        status = _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; what is still buffered must not complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except Exception as error:
        if os.environ.get("PYBUILD_DEBUG"):
            raise
        click.echo(f"pybuild: internal error: {type(error).__name__}: {error}", err=True)
        click.echo("  this is a bug; PYBUILD_DEBUG=1 shows where", err=True)
        status = failure or 1
    for number in (signal.SIGINT, signal.SIGTERM):
        # All is done: a signal that comes now ends the interpreter in its shutting down, without a word.
        signal.signal(number, signal.SIG_DFL)
    sys.exit(status if isinstance(status, int) else 0)


class _Terminated(BaseException):
    """SIGTERM: all ends as with Ctrl-C, under another status; no KeyboardInterrupt, as click would take it."""


def _terminate(number: int, frame: object) -> None:
    raise _Terminated
