"""`keystead users`: the first accounts, and addresses that an operator vouches for."""

from typing import Annotated
from uuid import UUID

import typer

from keystead.cli.running import EXIT_CANNOT_START, fail, read_secret_line, with_core
from keystead.core import Core
from keystead.kernel.ids import UserId

app = typer.Typer(help="Create and verify users.", no_args_is_help=True)


@app.command()
def create(
    email: Annotated[str, typer.Argument(help="The user's address.")],
    *,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input, one line.")
    ] = False,
    admin: Annotated[bool, typer.Option("--admin", help="Grant the role admin.")] = False,
    full_name: Annotated[str | None, typer.Option(help="The user's name.")] = None,
) -> None:
    """Create an active user whose address needs no proof."""
    if not password_stdin:
        raise fail("give the password on standard input: --password-stdin", EXIT_CANNOT_START)
    password = read_secret_line()

    async def act(core: Core) -> UserId:
        return await core.accounts.create_user(
            email=email, password=password, full_name=full_name, is_admin=admin
        )

    typer.echo(f"created {with_core(act)}")


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
