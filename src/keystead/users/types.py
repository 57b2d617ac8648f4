"""Users, as stored and as people see them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from keystead.kernel.errors import Refusal
from keystead.kernel.ids import UserId

NO_PASSWORD = "!"  # stored in a hash's place: no password matches it


class UserStatus(StrEnum):
    """`pending`: one attempt to register, its address unproven. `locked`: the owner must prove the mailbox again.
    `erased`: a tombstone without personal data."""

    PENDING = "pending"
    ACTIVE = "active"
    DISABLED = "disabled"
    LOCKED = "locked"
    ERASED = "erased"


class EmailTaken(Refusal):
    code = "email_taken"
    message = "An account with this e-mail address exists."


class UserNotFound(Refusal):
    """No such user, or none that the caller may know of: deliberately the same."""

    code = "user_not_found"
    message = "There is no such user."


class IdTaken(Refusal):
    """An id is never given out twice, not even that of an erased account."""

    code = "id_taken"
    message = "A user with this id exists or existed."


class VersionMismatch(Refusal):
    """Somebody changed it since the version that If-Match names."""

    code = "version_mismatch"
    message = "It was changed meanwhile. Read it again, then repeat your change."


@dataclass(frozen=True, slots=True)
class StoredUser:
    """A user as the database holds it: personal columns sealed, with the wrapped data key that opens them."""

    id: UserId
    status: str
    email_sealed: bytes
    full_name_sealed: bytes | None
    preferences: str
    preferences_sealed: bytes | None
    app_metadata_sealed: bytes | None
    version: int
    password_version: int
    email_verified_at: datetime | None
    created_at: datetime
    updated_at: datetime
    data_key_wrapped: bytes


@dataclass(frozen=True, slots=True)
class User:
    """A user, opened. `app_metadata` is the applications' to write; `version` counts the changes."""

    id: UserId
    status: UserStatus
    email: str
    full_name: str | None
    preferences: dict[str, Any]
    app_metadata: dict[str, Any]
    version: int
    email_verified: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Credential:
    """What a login is checked against."""

    user_id: UserId
    status: str
    password_hash: str
    password_version: int
    data_key_wrapped: bytes
