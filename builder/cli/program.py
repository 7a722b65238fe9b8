"""The program `pybuild` as click runs it: finds the command, and turns errors into messages and exit codes."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from builder.cli.encoding import forgive
from builder.cli.lazy import ASKED, LazyGroup
from builder.cli.words import COMMANDS, SECTIONS, command_at, with_default_command
from builder.errors import PybuildError

if TYPE_CHECKING:
    from builder.api.answered import Asked

_INTERRUPTED = 130
# How writing to a file fails that no path is known of here: standard output. What the store meets has been told apart.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    sections=SECTIONS,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
    subcommand_metavar="COMMAND …",
    examples=(
        ("pybuild -t app .", "build the Buildfile here, and call the image app"),
        ("pybuild run --rm app", "run it"),
        ("pybuild build --help", "see all that a build can be told"),
    ),
)
@click.option("--root", metavar="DIR", help="Directory of the store (also PYBUILD_ROOT).")
@click.option("--version", is_flag=True, help="Show the version and exit.")
@click.pass_context
def pybuild(ctx: click.Context, root: str | None, version: bool) -> None:
    """Build container images from Dockerfile-like recipes, without a daemon.

    `pybuild [OPTIONS] PATH` is short for `pybuild build [OPTIONS] PATH`.
    """
    ctx.meta[ASKED] = ctx.obj
    ctx.obj = Path(root) if root else None
    if version:
        # lazy: nothing else needs it here
        from builder.version import told

        click.echo(told(), nl=False)
        ctx.exit()
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run(arguments: Sequence[str], asked: Asked | None = None) -> NoReturn:
    """Run the program with `arguments` and exit; `asked` is the build that they ask for, and that is not known.

    Exit codes: builder/errors.py and docs/cli.md.
    """
    forgive()
    words = with_default_command(arguments)
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # else it is ignored, as by nohup
        signal.signal(signal.SIGHUP, _terminate)
    at = command_at(words)
    called = words[at : at + 3]
    failure = 125 if called[:1] in (["run"], ["shell"], ["exec"]) or called == ["cache", "mount", "shell"] else 0
    try:
        status = pybuild.main(words, prog_name="pybuild", standalone_mode=False, obj=asked)
        if sys.stdout is not None:
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
    except _Terminated as ended:
        status = 128 + ended.number
    except (KeyboardInterrupt, click.exceptions.Abort):
        click.echo("pybuild: canceled", err=True)
        status = _INTERRUPTED
    except BrokenPipeError:
        _leave_output()  # whoever read it has gone
        status = 1
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _FULL and error.filename is None:
            _leave_output()
            click.echo(f"error: cannot write to standard output: {error.strerror}", err=True)
            sys.exit(failure or 1)
        if os.environ.get("PYBUILD_DEBUG"):
            raise
        click.echo(f"pybuild: internal error: {type(error).__name__}: {error}", err=True)
        click.echo("  this is a bug; PYBUILD_DEBUG=1 shows where", err=True)
        status = failure or 1
    for number in (signal.SIGINT, signal.SIGTERM):
        # All is done: a signal that comes now ends the interpreter in its shutting down, without a word.
        signal.signal(number, signal.SIG_DFL)
    sys.exit(status if isinstance(status, int) else 0)


def _leave_output() -> None:
    """Have nothing that is still buffered complain at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Terminated(BaseException):
    """SIGTERM, SIGHUP: all ends as with Ctrl-C, under another status; no KeyboardInterrupt, as click would take it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _terminate(number: int, frame: object) -> None:
    if number == signal.SIGHUP:
        signal.signal(number, signal.SIG_IGN)  # shells send it, too: what ends must not be disturbed
    raise _Terminated(number)
