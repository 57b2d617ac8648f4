"""`keystead erasures`: the record of erased accounts, for databases that come back from a backup."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated
from uuid import UUID

import msgspec
import typer

from keystead.cli.running import EXIT_CANNOT_START, fail, with_core
from keystead.core import Core
from keystead.kernel.caller import Operator
from keystead.users.erasures import Erasure

app = typer.Typer(
    help="List erased accounts, and erase them again in a restored database.", no_args_is_help=True
)


class _Line(msgspec.Struct):
    user_id: UUID


@app.command("list")
def list_erasures() -> None:
    """Every erasure, one JSON object a line. Keep it off this host."""

    async def act(core: Core) -> list[Erasure]:
        return await core.operations.list_erasures()

    for erasure in with_core(act):
        line = {"user_id": str(erasure.user_id), "erased_at": erasure.erased_at.isoformat()}
        typer.echo(msgspec.json.encode(line).decode())


@app.command()
def apply(log: Annotated[Path, typer.Argument(help="An erasure log, or what `list` has printed.")]) -> None:
    """Erase again whoever the log names and this database still knows: after every restore, before serving."""
    user_ids = list(_read(log))

    async def act(core: Core) -> int:
        return await core.accounts.erase_again(Operator(), user_ids)

    typer.echo(f"{len(user_ids)} in the log, {with_core(act)} erased again")


def _read(path: Path) -> Iterator[UUID]:
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise fail(f"{path} cannot be read: {error}", EXIT_CANNOT_START) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        # Whoever wrote it was killed: what they began is written again.
        if line.startswith(b"{") and not line.endswith(b"}"):
            typer.echo(f"keystead: warning: {path}, line {number} is cut short", err=True)
            continue
        try:
            yield msgspec.json.decode(line, type=_Line).user_id
        except msgspec.DecodeError as error:
            raise fail(
                f"{path}, line {number} is no line of an erasure log: {error}", EXIT_CANNOT_START
            ) from error
