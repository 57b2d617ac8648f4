"""`keystead keys`: the keys that sign access tokens."""

from typing import Annotated

import typer

from keystead.cli.running import with_core
from keystead.core import Core

app = typer.Typer(help="List, rotate and revoke signing keys.", no_args_is_help=True)


@app.command("list")
def list_keys() -> None:
    """Every key, with its state."""

    async def act(core: Core) -> list[str]:
        history = await core.keys.list()
        return [
            f"{key.kid}  {key.algorithm:<6} {key.state(history.now):<9} from {key.active_from:%Y-%m-%d %H:%M:%S}Z"
            for key in history.keys
        ]

    for line in with_core(act):
        typer.echo(line)


@app.command()
def rotate() -> None:
    """Add the next key. It signs once every verifier has had the time to fetch it."""

    async def act(core: Core) -> str:
        key = await core.keys.rotate()
        return f"{key.kid} becomes active at {key.active_from:%Y-%m-%d %H:%M:%S}Z"

    typer.echo(with_core(act))


@app.command()
def revoke(kid: Annotated[str, typer.Argument(help="The id of the key that leaked.")]) -> None:
    """Refuse every token of a key, now. A new key takes over at once if it was the active one."""

    async def act(core: Core) -> None:
        await core.keys.revoke(kid)

    with_core(act)
    typer.echo(f"revoked {kid}")
