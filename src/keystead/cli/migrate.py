"""`keystead migrate`: bring the database to this version's schema."""

import asyncio

import typer

from keystead.cli.running import explained, load_settings
from keystead.kernel.migrate import migrate, read_status
from keystead.serving.instance import attached, owner_url, runtime_url

app = typer.Typer(help="Migrate the database.", invoke_without_command=True)


@app.callback()
def run(context: typer.Context) -> None:
    """Apply what is pending, as the owner (APP_DATABASE__MIGRATION_URL)."""
    if context.invoked_subcommand is not None:
        return
    with explained(), attached(load_settings()) as settings:
        applied = asyncio.run(migrate(owner_url(settings), runtime_url=runtime_url(settings)))
    for migration in applied:
        typer.echo(f"applied {migration.version:04} {migration.name}")
    typer.echo("The schema is up to date.")


@app.command()
def status() -> None:
    """List every migration and whether it is applied; exit with 1 if one is pending."""
    with explained(), attached(load_settings()) as settings:
        found = asyncio.run(read_status(owner_url(settings)))
    for migration in found.applied:
        typer.echo(f"applied  {migration.version:04} {migration.name}")
    for migration in found.pending:
        typer.echo(f"pending  {migration.version:04} {migration.name}")
    for name in found.newer:
        typer.echo(f"newer    {name} (of a later version of Keystead)")
    raise typer.Exit(1 if found.pending else 0)
