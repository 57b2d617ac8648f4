"""`keystead migrate`: bring the database to this version's schema."""

import asyncio

import typer

from keystead.cli.running import EXIT_CANNOT_START, fail, load_settings
from keystead.kernel.errors import CannotStart
from keystead.kernel.migrate import migrate, read_status
from keystead.kernel.secrets import Secret
from keystead.serving.instance import attach

app = typer.Typer(help="Migrate the database.", invoke_without_command=True)


@app.callback()
def run(context: typer.Context) -> None:
    """Apply what is pending, as the owner (APP_DATABASE__MIGRATION_URL)."""
    if context.invoked_subcommand is not None:
        return
    owner, runtime = _urls()
    try:
        applied = asyncio.run(migrate(owner, runtime_url=runtime))
    except CannotStart as error:
        raise fail(str(error), EXIT_CANNOT_START) from error
    for migration in applied:
        typer.echo(f"applied {migration.version:04} {migration.name}")
    typer.echo("The schema is up to date.")


@app.command()
def status() -> None:
    """List every migration and whether it is applied; exit with 1 if one is pending."""
    owner, _ = _urls()
    try:
        found = asyncio.run(read_status(owner))
    except CannotStart as error:
        raise fail(str(error), EXIT_CANNOT_START) from error
    for migration in found.applied:
        typer.echo(f"applied  {migration.version:04} {migration.name}")
    for migration in found.pending:
        typer.echo(f"pending  {migration.version:04} {migration.name}")
    for name in found.newer:
        typer.echo(f"newer    {name} (of a later version of Keystead)")
    raise typer.Exit(1 if found.pending else 0)


def _urls() -> tuple[Secret, Secret]:
    """The owner's URL and the runtime role's."""
    database = attach(load_settings()).database
    if database.url is None:
        raise fail("database.url is not set: set APP_DATABASE__URL.", EXIT_CANNOT_START)
    return database.migration_url or database.url, database.url
