"""better-auth: its users with the password of their account, joined or as two lists."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from keystead.accounts.moving.fields import (
    Flag,
    Id,
    Moment,
    address,
    flag,
    identifier,
    moment,
    name,
    provenance,
    usable_hash,
    uuid,
)
from keystead.accounts.moving.records import Record, load_document, unreadable_file
from keystead.accounts.moving.types import Format, IncomingUser, Reading

# Object mappers often name the columns so.
_CAMEL = {
    "email_verified": "emailVerified",
    "created_at": "createdAt",
    "updated_at": "updatedAt",
    "ban_expires": "banExpires",
    "provider_id": "providerId",
    "user_id": "userId",
}


class Row(msgspec.Struct, rename="camel"):
    id: Id
    email: str | None = None
    email_verified: Flag = False
    name: str | None = None
    password: str | None = None
    provider_id: str | None = None
    banned: Flag = False
    ban_expires: Moment = None
    role: str | None = None
    username: str | None = None
    created_at: Moment = None
    updated_at: Moment = None


class Account(msgspec.Struct, rename="camel"):
    user_id: Id | None = None
    provider_id: str | None = None
    password: str | None = None


TABLES = frozenset(("user", "users", "account", "accounts"))


class Tables(msgspec.Struct):
    user: list[dict[str, Any]] | None = None
    account: list[dict[str, Any]] | None = None
    users: list[dict[str, Any]] | None = None
    accounts: list[dict[str, Any]] | None = None


def renamed(row: dict[str, Any]) -> dict[str, Any]:
    return {_CAMEL.get(column, column): value for column, value in row.items()}


def table_records(path: Path) -> Iterator[Record]:
    """Users with their passwords, from one object with the two lists. Raises InvalidInput."""
    expected = 'an export of better-auth, {"user": […], "account": […]}'
    tables = load_document(path, Tables, expected=expected)
    users = tables.users if tables.user is None else tables.user
    accounts = tables.accounts if tables.account is None else tables.account
    if users is None or accounts is None:
        raise unreadable_file(f"One of its two lists is missing; expected is {expected}.")
    passwords: dict[str, str] = {}
    for row in accounts:
        try:
            account = msgspec.convert(renamed(row), Account)
        except msgspec.ValidationError:
            continue  # of another way to sign in, at any rate without a password that could be read
        if account.provider_id == "credential" and account.password:
            passwords[str(account.user_id)] = account.password
    for number, user in enumerate(users, 1):
        yield number, {**user, "password": passwords.get(str(user.get("id")))}


def to_user(row: Row, reading: Reading) -> IncomingUser:
    """Raises BadRow."""
    source_id = identifier(row.id)
    user_id = uuid(source_id)
    expires = moment(row.ban_expires, "banExpires")
    is_of_password = row.provider_id in (None, "credential")
    return IncomingUser(
        source_id=source_id,
        id=user_id,
        email=address(row.email),
        email_verified=flag(row.email_verified, "emailVerified"),
        full_name=name(row.name),
        password_hash=usable_hash(row.password, reading) if is_of_password else None,
        is_disabled=flag(row.banned, "banned") and (expires is None or expires > reading.now),
        created_at=moment(row.created_at, "createdAt"),
        updated_at=moment(row.updated_at, "updatedAt"),
        preferences={},
        app_metadata=provenance(
            Format.BETTER_AUTH,
            source_id,
            user_id,
            role=row.role if row.role != "user" else None,
            username=row.username,
        ),
        roles=(),
    )
