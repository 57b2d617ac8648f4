"""`keystead networks`: which networks are let through, and which are refused."""

from typing import Annotated

import typer

from keystead.cli.running import with_core
from keystead.cli.spans import read_span
from keystead.core import Core
from keystead.kernel.caller import Operator
from keystead.limits.lists.types import ListedNetwork, Verdict
from keystead.operations.networks import NewNetwork
from keystead.vault import PageWanted

app = typer.Typer(help="Allow and deny networks, while servers run.", no_args_is_help=True)

Cidr = Annotated[str, typer.Argument(metavar="CIDR", help="Such as 203.0.113.0/24, or one address.")]
Lifetime = Annotated[
    str | None, typer.Option("--for", help="How long, such as 7d or 12h; otherwise for good.")
]
Because = Annotated[str, typer.Option(help="Why, for who reads the list.")]
_PAGE = 200


@app.command()
def allow(network: Cidr, *, lifetime: Lifetime = None, because: Because = "") -> None:
    """Let a network through: no limit counts its requests."""
    _add(network, Verdict.ALLOWED, lifetime, because)


@app.command()
def deny(network: Cidr, *, lifetime: Lifetime = None, because: Because = "") -> None:
    """Refuse whatever a network sends."""
    _add(network, Verdict.DENIED, lifetime, because)


@app.command("list")
def list_networks() -> None:
    """Every network in the lists, those of the configuration first."""

    async def act(core: Core) -> list[ListedNetwork]:
        found: list[ListedNetwork] = []
        wanted = PageWanted(limit=_PAGE)
        while True:
            page = await core.networks.list(Operator(), wanted)
            found += page.items
            if page.next_cursor is None:
                return found
            wanted = PageWanted(limit=_PAGE, cursor=page.next_cursor)

    for entry in with_core(act):
        typer.echo(_line(entry))


@app.command()
def remove(network: Cidr) -> None:
    """Take a network off both lists."""

    async def act(core: Core) -> list[ListedNetwork]:
        return await core.networks.remove.by_network(Operator(), network)

    for entry in with_core(act):
        typer.echo(f"removed {entry.network}, which was {entry.verdict}")


def _add(network: str, verdict: Verdict, lifetime: str | None, because: str) -> None:
    span = None if lifetime is None else read_span("--for", lifetime)
    new = NewNetwork(network, verdict, because, span)

    async def act(core: Core) -> ListedNetwork:
        entry, _ = await core.networks.add(Operator(), new, address=None)
        return entry

    typer.echo(_line(with_core(act)))


def _line(entry: ListedNetwork) -> str:
    if entry.is_configured:
        until = "by the configuration"
    else:
        until = "for good" if entry.expires_at is None else f"until {entry.expires_at:%Y-%m-%d %H:%M:%S} UTC"
    because = f"  {entry.because}" if entry.because else ""
    return f"{entry.verdict}  {entry.network}  {until}{because}"
