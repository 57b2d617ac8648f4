"""`keystead dev`: for whoever builds on Keystead. Refused in production."""

import json
import shutil
from typing import Annotated

import typer

from keystead.accounts.develop import MAX_SEED, SEED_DOMAIN, SEED_PASSWORD
from keystead.auth.token_pair import TokenPair
from keystead.cli.progress import Meter
from keystead.cli.running import EXIT_CANNOT_START, explained, fail, load_settings, with_core
from keystead.core import Core, DevelopmentVerbs
from keystead.embedded.errors import EmbeddedError
from keystead.embedded.folder import DataFolder
from keystead.kernel.errors import CannotStart
from keystead.settings import Settings

app = typer.Typer(
    help="Tokens and made-up people for development. Refused in production.", no_args_is_help=True
)


@app.command()
def token(
    user: Annotated[str, typer.Option("--user", help="The address; made if nobody has it.")],
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
    """Make up people: some disabled, some unverified, one administrator. Run again, it adds nobody twice."""
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
) -> None:
    """Delete everything that the embedded servers hold; the next start begins anew."""
    settings = load_settings()
    _require_development(settings)
    if settings.database.url is not None:
        message = "the database is not the embedded one: empty it yourself, then run keystead migrate"
        raise fail(message, EXIT_CANNOT_START)
    folder = settings.embedded.data_dir
    if not folder.exists():
        typer.echo(f"There is nothing in {folder}.")
        return
    if not yes:
        typer.confirm(f"Delete everything in {folder}?", abort=True)
    with explained():
        try:
            with DataFolder.open(folder) as held:
                for each in held.path.iterdir():
                    if each.is_dir():
                        shutil.rmtree(each)
        except EmbeddedError as error:  # AlreadyRunning, above all
            raise CannotStart(str(error)) from error
    typer.echo(f"{folder} is empty: the next start begins anew.")


def _require_development(settings: Settings) -> None:
    if settings.profile == "production":
        raise fail("this command is not for production (APP_ENV=production)", EXIT_CANNOT_START)


def _verbs(core: Core) -> DevelopmentVerbs:
    if core.development is None:
        raise CannotStart("This command is not for production.")
    return core.development
