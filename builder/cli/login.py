"""`login` and `logout`."""

from __future__ import annotations

import sys

import click

from builder.cli.help import command
from builder.cli.registries import registry_options
from builder.request import RegistryOptions

_LONGEST_PASSWORD = 1 << 20


@command(
    ("pybuild login -u me example.org", "be asked for the password"),
    ("pybuild login -u me --password-stdin example.org", "read it from a pipe"),
)
@click.argument("server", required=False, default="", metavar="[SERVER]")
@click.option("-u", "--username", metavar="NAME", help="Name; asked for on a terminal.")
@click.option("-p", "--password", metavar="PASSWORD", help="Password; others see it in the list of processes.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@registry_options
def login(
    server: str, username: str | None, password: str | None, password_stdin: bool, registries: RegistryOptions
) -> None:
    """Log in to a registry, and keep the login."""
    from builder.api.login import login as run

    name, secret = _asked(username, password, password_stdin)
    kept = run(registries, server, name, secret)
    if kept.helper is None:
        click.echo(
            f"WARNING! The password is kept unencrypted in {kept.file}.\n"
            "A credential helper, named there as credsStore, keeps it safer.",
            err=True,
        )
    click.echo("Login Succeeded")


@command(
    ("pybuild logout example.org", "forget one"),
    ("pybuild logout --all", "forget all"),
)
@click.argument("server", required=False, default="", metavar="[SERVER]")
@click.option("-a", "--all", "everything", is_flag=True, help="Forget the logins to all registries.")
@registry_options
def logout(server: str, everything: bool, registries: RegistryOptions) -> None:
    """Forget the login to a registry."""
    from builder.api.login import logout as run
    from builder.api.login import logout_everywhere

    if everything and server:
        raise click.UsageError("--all goes without a SERVER.")
    gone = logout_everywhere(registries) if everything else run(registries, server)
    for name in gone.names:
        click.echo(f"Removing login credentials for {name}")
    if not gone.names:
        click.echo(f"Not logged in to {server or 'the default registry'}" if not everything else "Not logged in")
    if gone.elsewhere:
        click.echo(f"WARNING! {gone.elsewhere} has a login to it, too.", err=True)


def _asked(username: str | None, password: str | None, password_stdin: bool) -> tuple[str, str]:
    """Name and password, from the options or from who sits at the terminal."""
    if password is not None and password_stdin:
        raise click.UsageError("--password and --password-stdin are mutually exclusive.")
    if password_stdin:
        if not username:
            raise click.UsageError("--password-stdin needs --username.")
        return username, _read()
    if password is not None:
        click.echo("WARNING! --password is seen in the list of processes. Use --password-stdin.", err=True)
    elif not sys.stdin.isatty():
        raise click.UsageError("Standard input is no terminal: use --username and --password-stdin.")
    name = username or click.prompt("Username", err=True)
    return name, click.prompt("Password", hide_input=True, err=True) if password is None else password


def _read() -> str:
    data = sys.stdin.buffer.read(_LONGEST_PASSWORD)
    try:
        return data.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise click.UsageError("The password on standard input is not UTF-8.") from None
