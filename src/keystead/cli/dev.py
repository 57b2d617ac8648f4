"""`keystead dev`: for whoever builds on Keystead. Refused in production."""

import asyncio
import json
import shlex
from typing import Annotated
from urllib.parse import unquote, urlsplit

import typer

from keystead.accounts.develop import MAX_SEED, SEED_DOMAIN, SEED_PASSWORD
from keystead.auth.token_pair import TokenPair
from keystead.cli.progress import Meter
from keystead.cli.running import EXIT_CANNOT_START, explained, fail, load_settings, with_core
from keystead.core import Core, DevelopmentVerbs
from keystead.kernel.errors import CannotStart
from keystead.operations.reset import Reset
from keystead.serving.instance import attached, owner_url
from keystead.serving.prepare import ensure_schema
from keystead.settings import Settings

app = typer.Typer(
    help="Tokens, made-up people and a fresh start, for development. Refused in production.",
    no_args_is_help=True,
)


@app.command()
def token(
    user: Annotated[
        str, typer.Option("--user", help="An address, of somebody who is made if nobody has it; or an id.")
    ],
    *,
    role: Annotated[
        list[str] | None, typer.Option("--role", help="A role to have: with any, they have just these.")
    ] = None,
    client_id: Annotated[str | None, typer.Option(help="The application; the default one.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The whole pair.")] = False,
) -> None:
    """Print an access token of this person, as if they had just signed in."""
    _require_development(load_settings())

    async def act(core: Core) -> TokenPair:
        return await _verbs(core).sign_in_as(user, roles=role or None, client_id=client_id)

    pair = with_core(act)
    if as_json:
        shown = {
            "access_token": pair.access_token.reveal(),
            "expires_in": pair.expires_in,
            "refresh_token": pair.refresh_token.reveal(),
            "session_id": str(pair.session_id),
        }
        typer.echo(json.dumps(shown))
    else:
        typer.echo(pair.access_token.reveal())


@app.command()
def seed(
    users: Annotated[int, typer.Option(min=1, max=MAX_SEED, help="How many people there should be.")] = 100,
) -> None:
    """Make up people: one administrator, some of support, some disabled, some unverified. Nobody is added twice."""
    _require_development(load_settings())

    async def act(core: Core) -> int:
        added = 0
        with Meter(unit="people", total=users) as meter:
            for batch in await _verbs(core).seed.batches(users):
                added += await _verbs(core).seed.add(batch)
                meter.advance(len(batch))
        return added

    added = with_core(act)
    typer.echo(f"added {added:,} of {users:,} people; admin@{SEED_DOMAIN} may do everything")
    typer.echo(f"everybody's password: {SEED_PASSWORD}")


@app.command()
def reset(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    external: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Empty a database that is not embedded, if this is its name."),
    ] = None,
) -> None:
    """Delete everybody and everything of theirs. Schema and keys stay, so a server that runs goes on."""
    settings = load_settings()
    _require_development(settings)
    place = _place(settings, external)
    if settings.database.url is None and not settings.embedded.data_dir.exists():
        typer.echo(f"There is nothing in {place}.")
        return
    with explained(), attached(settings) as complete:
        asyncio.run(ensure_schema(complete))
        wipe = Reset(owner_url(complete))
        count = asyncio.run(wipe.count())
        people = "1 account" if count == 1 else f"{count:,} accounts"
        if not yes:
            typer.confirm(f"Delete {people} and everything else in {place}?", abort=True, err=True)
        asyncio.run(wipe())
    typer.echo(f"deleted {people} and everything else in {place}")


def _place(settings: Settings, external: str | None) -> str:
    """The database in words. Leaves the command unless it is embedded, or the one that was named."""
    if settings.database.url is None:
        if external is not None:
            raise fail("the database is the embedded one: leave --external out", EXIT_CANNOT_START)
        return str(settings.embedded.data_dir.absolute())
    parts = urlsplit(settings.database.url.reveal())
    name = unquote(parts.path.lstrip("/"))
    place = f"the database {name} at {parts.hostname or 'a socket of this machine'}"
    if external != name:
        message = (
            f"{place} is not the embedded one: to empty it all the same, add --external {shlex.quote(name)}"
        )
        raise fail(message, EXIT_CANNOT_START)
    return place


def _require_development(settings: Settings) -> None:
    if settings.profile == "production":
        raise fail("this command is not for production (APP_ENV=production)", EXIT_CANNOT_START)


def _verbs(core: Core) -> DevelopmentVerbs:
    if core.development is None:
        raise CannotStart("This command is not for production.")
    return core.development
