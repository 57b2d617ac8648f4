"""`keystead service-accounts`: credentials for programs."""

import json
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

from keystead.accounts.service_accounts import CreatedAccount, NewAccount
from keystead.accounts.service_keys import AddedKey
from keystead.cli.running import EXIT_CANNOT_START, fail, with_core
from keystead.cli.spans import read_span
from keystead.core import Core
from keystead.kernel.caller import Operator
from keystead.machines.types import ServiceAccount, ServiceKey
from keystead.vault import PageWanted

app = typer.Typer(help="Give programs credentials of their own.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="The service account's name.")]
Lifetime = Annotated[str, typer.Option("--ttl", help="How long the key lives, such as 90d or 12h.")]
Scopes = Annotated[
    list[str] | None, typer.Option("--scope", help="What the key may do at most; all that the roles permit.")
]
PublicKeyFile = Annotated[
    Path | None, typer.Option(help="A public key (PEM) instead of a secret, for private_key_jwt.")
]
AsJson = Annotated[bool, typer.Option("--json", help="For scripts.")]
_PAGE = 200


@app.command()
def create(
    name: Name,
    *,
    role: Annotated[list[str] | None, typer.Option("--role", help="A role that it holds.")] = None,
    ttl: Lifetime = "90d",
    scope: Scopes = None,
    application: Annotated[
        str | None, typer.Option(help="Whose audience its tokens have; the default application's.")
    ] = None,
    description: Annotated[str, typer.Option(help="What it is for.")] = "",
    public_key: PublicKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a service account with its first secret, which is shown this once, or with a public key."""
    new = NewAccount(
        name,
        description=description,
        roles=tuple(role or ()),
        client_id=application,
        scopes=tuple(scope) if scope else None,
        lifetime=read_span("--ttl", ttl),
        public_key=None if public_key is None else _read(public_key),
    )

    async def act(core: Core) -> CreatedAccount:
        return await core.machines.create(Operator(), new)

    made = with_core(act)
    _show_secret(str(made.account.id), AddedKey(made.key, made.secret), as_json=as_json)


@app.command("list")
def list_accounts() -> None:
    """Every service account, with its roles and its live keys."""

    async def act(core: Core) -> list[tuple[ServiceAccount, list[ServiceKey]]]:
        found: list[tuple[ServiceAccount, list[ServiceKey]]] = []
        wanted = PageWanted(limit=_PAGE, cursor=None)
        while True:
            page = await core.machines.list(Operator(), wanted)
            found += [
                (account, await core.machines.list_keys(Operator(), account.id)) for account in page.items
            ]
            if page.next_cursor is None:
                return found
            wanted = PageWanted(limit=_PAGE, cursor=page.next_cursor)

    for account, keys in with_core(act):
        state = "disabled" if account.disabled_at else "active"
        roles = ",".join(account.roles) or "-"
        typer.echo(f"{account.name}  {account.id}  {state}  roles={roles}  for={account.client_id}")
        for key in keys:
            kind = key.algorithm or f"secret …{key.hint}"
            used = f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never"
            typer.echo(f"  {key.id}  {kind}  until {key.expires_at:%Y-%m-%d}  last used {used}")


@app.command("add-key")
def add_key(
    name: Name,
    *,
    ttl: Lifetime = "90d",
    scope: Scopes = None,
    public_key: PublicKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """One more secret, or a public key: the old ones go on until they are revoked or expire."""
    pem = None if public_key is None else _read(public_key)

    async def act(core: Core) -> AddedKey:
        account = await core.machines.show.by_name(Operator(), name)
        return await core.machines.add_key(
            Operator(),
            account.id,
            scopes=tuple(scope) if scope else None,
            lifetime=read_span("--ttl", ttl),
            public_key=pem,
        )

    added = with_core(act)
    _show_secret(str(added.key.account_id), added, as_json=as_json)


@app.command("revoke-key")
def revoke_key(key_id: Annotated[UUID, typer.Argument(help="The key's id, as `list` shows it.")]) -> None:
    """Revoke a key: it gets no token, and the tokens that it got count no more at Keystead."""

    async def act(core: Core) -> None:
        await core.machines.revoke_key.by_id(Operator(), key_id)

    with_core(act)
    typer.echo(f"revoked {key_id}")


@app.command()
def disable(name: Name) -> None:
    """Let a service account get no token until it is enabled."""
    _set_disabled(name, wanted=True)


@app.command()
def enable(name: Name) -> None:
    """Undo `disable`."""
    _set_disabled(name, wanted=False)


@app.command()
def delete(name: Name) -> None:
    """Delete a service account with its keys."""

    async def act(core: Core) -> None:
        account = await core.machines.show.by_name(Operator(), name)
        await core.machines.delete(Operator(), account.id)

    with_core(act)
    typer.echo(f"deleted {name}")


def _set_disabled(name: str, *, wanted: bool) -> None:
    async def act(core: Core) -> None:
        account = await core.machines.show.by_name(Operator(), name)
        await core.machines.change(Operator(), account.id, is_disabled=wanted)

    with_core(act)
    typer.echo(f"{'disabled' if wanted else 'enabled'} {name}")


def _show_secret(client_id: str, added: AddedKey, *, as_json: bool) -> None:
    """The secret to standard output, what to do with it to standard error."""
    shown = {"client_id": client_id, "key_id": str(added.key.id)}
    if added.secret is not None:
        shown["client_secret"] = added.secret.reveal()
    if as_json:
        typer.echo(json.dumps(shown))
        return
    for label, value in shown.items():
        typer.echo(f"{label}={value}")
    if added.secret is not None:
        typer.echo("keystead: the secret is shown this once: keep it where your program finds it.", err=True)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise fail(f"{path} cannot be read: {error}", EXIT_CANNOT_START) from error
