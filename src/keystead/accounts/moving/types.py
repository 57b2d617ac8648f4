"""Users on their way in, and the rows that could not be read."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from keystead.users.foreign_hashes import FirebaseScrypt


class Format(StrEnum):
    KEYCLOAK = "keycloak"
    SUPABASE = "supabase"
    AUTH0 = "auth0"
    FIREBASE = "firebase"
    DJANGO = "django"
    BETTER_AUTH = "better-auth"
    FASTAPI_USERS = "fastapi-users"
    KEYSTEAD = "keystead"


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingUser:
    """A user as a file has them. Nothing here is judged yet but the hash: not the address, the name, the sizes.

    `id` is the source's where that is a UUID. `password_hash` is None where there is no password to take over.
    `roles` are Keystead's own, and empty for every other system: what a user was there stands in `app_metadata`
    under `imported_from`, with the id there where it is no UUID, and gives no rights here.
    """

    source_id: str
    id: UUID | None
    email: str
    email_verified: bool
    full_name: str | None
    password_hash: str | None = field(repr=False)
    is_disabled: bool
    created_at: datetime | None
    updated_at: datetime | None
    preferences: dict[str, Any]
    app_metadata: dict[str, Any]
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that is no user. `line` counts lines, or records where the file is one document. `reason` holds no
    password and no hash."""

    line: int
    source_id: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader needs beside the file."""

    now: datetime
    firebase: FirebaseScrypt | None
    drop_unusable_hashes: bool


class BadRow(ValueError):
    """Why a row is no user: a sentence that holds nothing secret."""
