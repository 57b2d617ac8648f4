"""What is known of each system's files: how they start, how a row becomes a user, how they are made."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from keystead.accounts.moving import (
    auth0,
    better_auth,
    django,
    fastapi_users,
    firebase,
    keycloak,
    keystead,
    supabase,
)
from keystead.accounts.moving.fields import MAX_ID_LENGTH
from keystead.accounts.moving.records import members_of
from keystead.accounts.moving.types import Format, IncomingUser, Reading


@dataclass(frozen=True, slots=True)
class System:
    """`signs` are the members of which a JSON object has all of one set; `columns` are those a CSV file must have.

    `ids` are the members that name a user, for the rows that cannot be read. `how` tells how to make the file.
    """

    row: type[Any]
    to_user: Callable[[Any, Reading], IncomingUser | None]
    signs: tuple[frozenset[str], ...]
    ids: tuple[str, ...]
    how: str
    columns: tuple[str, ...] = ()

    def is_signed(self, members: dict[str, Any] | None) -> bool:
        return members is not None and any(signs <= members.keys() for signs in self.signs)

    def has_columns(self, header: list[str]) -> bool:
        return bool(self.columns) and set(self.columns) <= set(header)

    def find_id(self, data: object) -> str | None:
        """Whom a record is about, as far as it says so."""
        members = members_of(data) or {}
        named = (members[name] for name in self.ids if isinstance(members.get(name), str | int))
        return next((str(value)[:MAX_ID_LENGTH] for value in named), None)


def _signs(*alternatives: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(alternative.split()) for alternative in alternatives)


SYSTEMS = {
    Format.KEYSTEAD: System(
        keystead.Row,
        keystead.to_user,
        _signs("format version"),
        ("id",),
        "JSON Lines that start with the header of `keystead users export`",
    ),
    Format.KEYCLOAK: System(
        keycloak.Row,
        keycloak.to_user,
        _signs("username", "email credentials"),
        ("id", "username"),
        "what `kc export --users same_file` or `--dir` writes",
    ),
    Format.FIREBASE: System(
        firebase.Row,
        firebase.to_user,
        _signs("localId"),
        ("localId",),
        "what `firebase auth:export users.json` writes",
    ),
    Format.SUPABASE: System(
        supabase.Row,
        supabase.to_user,
        _signs("id encrypted_password"),
        ("id",),
        "the table auth.users, as CSV with a header (`\\copy (SELECT * FROM auth.users) TO 'users.csv' CSV HEADER`) "
        "or as JSON, one object a line",
        ("id", "email", "encrypted_password"),
    ),
    Format.AUTH0: System(
        auth0.Row,
        auth0.to_user,
        _signs(
            "_id email",
            "_id identifiers",
            "user_id email",
            "email custom_password_hash",
            "email password_hash",
        ),
        ("user_id", "alt_id", "email"),
        "the export with password hashes that Auth0's support makes, one object a line, or a file for its bulk import",
    ),
    Format.DJANGO: System(
        django.Row,
        django.to_user,
        _signs("model fields"),
        ("pk",),
        "what `manage.py dumpdata auth.user` writes, as JSON or with `--format jsonl`",
    ),
    Format.FASTAPI_USERS: System(
        fastapi_users.Row,
        fastapi_users.to_user,
        _signs("id email hashed_password"),
        ("id",),
        "its table of users, as CSV with a header or as JSON, one object a line",
        ("id", "email", "hashed_password"),
    ),
    Format.BETTER_AUTH: System(
        better_auth.Row,
        better_auth.to_user,
        _signs("id email password emailVerified", "id email password email_verified"),
        ("id",),
        'CSV or JSON Lines of `SELECT u.*, a.password FROM "user" u LEFT JOIN account a ON a."userId" = u.id '
        'AND a."providerId" = \'credential\'`, or {"user": […], "account": […]}',
        ("id", "email", "password"),
    ),
}
