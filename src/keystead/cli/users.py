"""`keystead users`: the first accounts, addresses that an operator vouches for, and ways back in."""

from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from keystead.accounts.create_user import AccountWanted
from keystead.cli.export_users import export_users
from keystead.cli.import_users import import_users
from keystead.cli.running import EXIT_CANNOT_START, fail, read_secret_line, with_core
from keystead.core import Core
from keystead.kernel.application import LinkTo
from keystead.kernel.caller import Operator
from keystead.kernel.ids import UserId
from keystead.roles.types import ADMIN, USER

app = typer.Typer(help="Create, invite, verify, recover, import and export users.", no_args_is_help=True)
app.command("import")(import_users)
app.command("export")(export_users)

Email = Annotated[str, typer.Argument(help="The user's address.")]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input, one line.")
]


@app.command()
def create(
    email: Email,
    *,
    password_stdin: PasswordStdin = False,
    admin: Annotated[bool, typer.Option("--admin", help="Grant the role admin.")] = False,
    full_name: Annotated[str | None, typer.Option(help="The user's name.")] = None,
) -> None:
    """Create an active user whose address needs no proof."""
    if not password_stdin:
        raise fail("give the password on standard input: --password-stdin", EXIT_CANNOT_START)
    roles = (USER, ADMIN) if admin else (USER,)
    wanted = AccountWanted(email=email, password=read_secret_line(), full_name=full_name, roles=roles)

    async def act(core: Core) -> UserId:
        return (await core.accounts.create(Operator(), wanted)).user.id

    typer.echo(f"created {with_core(act)}")


@app.command()
def bootstrap(
    email: Email,
    *,
    password_stdin: PasswordStdin = False,
    password_file: Annotated[
        Path | None, typer.Option(help="Read the password from this file, such as a mounted secret.")
    ] = None,
) -> None:
    """Make sure that an administrator of this address exists. Run again, it changes nothing."""
    if password_stdin == (password_file is not None):
        raise fail("give the password once: --password-stdin or --password-file FILE", EXIT_CANNOT_START)
    password = read_secret_line() if password_file is None else _read(password_file)

    async def act(core: Core) -> str:
        return (await core.accounts.bootstrap(email=email, password=password)).value

    typer.echo(f"{with_core(act)} {email}")


@app.command()
def invite(
    email: Email,
    *,
    admin: Annotated[bool, typer.Option("--admin", help="As an administrator.")] = False,
    full_name: Annotated[str | None, typer.Option(help="The user's name.")] = None,
) -> None:
    """Invite somebody, by mail if a mail server is set; the link, which works once, is shown here."""
    roles = (USER, ADMIN) if admin else (USER,)

    async def act(core: Core) -> str:
        invited = await core.accounts.invite(Operator(), email=email, full_name=full_name, roles_wanted=roles)
        return core.accounts.spell_link(LinkTo.INVITATION, invited.ticket_id)

    typer.echo(with_core(act))


@app.command()
def recover(
    email: Email,
    *,
    admin: Annotated[bool, typer.Option("--admin", help="Grant the role admin again.")] = False,
) -> None:
    """Show a link, which works once, to set a new password. The account is enabled and unlocked."""

    async def act(core: Core) -> str:
        ticket_id = await core.accounts.recover(email=email, make_admin=admin)
        return core.accounts.spell_link(LinkTo.RESET, ticket_id)

    typer.echo(with_core(act))


@app.command()
def verify(
    email: Annotated[str, typer.Argument(help="The address that was proven.")],
    attempt: Annotated[
        UUID | None, typer.Option(help="Which attempt to register it, where there were several.")
    ] = None,
) -> None:
    """Make the attempt to register this address an account."""

    async def act(core: Core) -> UserId:
        return await core.accounts.verify_user(email=email, attempt=attempt)

    typer.echo(f"verified {with_core(act)}")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise fail(f"{path} cannot be read: {error}", EXIT_CANNOT_START) from error
