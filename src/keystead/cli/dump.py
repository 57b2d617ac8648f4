"""`keystead dump`: logical dumps without the keys, and the keys without the rest."""

from pathlib import Path
from typing import Annotated

import typer

from keystead.cli.running import explained, load_settings
from keystead.operations.dump import Dump, Half
from keystead.serving.instance import attached, owner_url

app = typer.Typer(help="Dump the database, in two halves that are kept apart.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="A file that does not exist yet.")]


@app.command()
def data(file: File) -> None:
    """Everything but the keys: without them it shows nobody, so it may be kept for long."""
    _dump(Half.DATA, file)


@app.command()
def keys(file: File) -> None:
    """The keys alone. Keep them apart and briefly: they open what an erasure closed, for as long as they are kept."""
    _dump(Half.KEYS, file)


def _dump(half: Half, file: Path) -> None:
    with explained(), attached(load_settings()) as settings:
        Dump(owner_url(settings), settings.embedded.pg_bin)(half, file)
    typer.echo(f"wrote {file} ({file.stat().st_size} bytes)")
