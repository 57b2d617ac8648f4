"""The `keystead` command."""

from typing import Annotated

import typer

from keystead import __version__
from keystead.cli import (
    config,
    dev,
    dump,
    erasures,
    keys,
    mail,
    migrate,
    networks,
    passwords,
    service_accounts,
    users,
)
from keystead.cli.running import load_settings
from keystead.serving.prepare import prepare
from keystead.serving.supervisor import serve as serve_until_stopped

app = typer.Typer(
    name="keystead",
    help="Keystead: sign-in that you can trust.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(config.app, name="config")
app.add_typer(dev.app, name="dev")
app.add_typer(dump.app, name="dump")
app.add_typer(erasures.app, name="erasures")
app.add_typer(keys.app, name="keys")
app.add_typer(mail.app, name="mail")
app.add_typer(migrate.app, name="migrate")
app.add_typer(networks.app, name="networks")
app.add_typer(passwords.app, name="passwords")
app.add_typer(service_accounts.app, name="service-accounts")
app.add_typer(users.app, name="users")


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        typer.echo(f"keystead {__version__}")
        raise typer.Exit


@app.callback()
def options(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Keystead: sign-in that you can trust."""


@app.command()
def serve(
    workers: Annotated[
        int | None, typer.Option(min=1, max=256, help="Worker processes; by default as configured.")
    ] = None,
) -> None:
    """Serve until stopped. Brings PostgreSQL and Valkey of its own where none are configured."""
    raise typer.Exit(serve_until_stopped(load_settings(), workers=workers, prepare=prepare))


def main() -> None:
    app()
