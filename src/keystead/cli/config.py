"""`keystead config`: check it, show it."""

import typer
import yaml

from keystead.cli.running import load_settings
from keystead.settings import masked

app = typer.Typer(help="Check and show the configuration.", no_args_is_help=True)


@app.command()
def check() -> None:
    """Say every problem at once and exit with 2, or exit with 0."""
    settings = load_settings()
    typer.echo(f"The configuration is sound (profile {settings.profile}).")


@app.command()
def show() -> None:
    """Show what is in effect, as YAML, with secrets masked."""
    typer.echo(yaml.safe_dump(masked(load_settings()), sort_keys=False, allow_unicode=True), nl=False)
