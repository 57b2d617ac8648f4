"""Users, as stored and as people see them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from keystead.kernel.errors import Refusal
from keystead.kernel.ids import UserId


class UserStatus(StrEnum):
    PENDING = "pending"
    ACTIVE = "active"
    DISABLED = "disabled"


class EmailTaken(Refusal):
    code = "email_taken"
    message = "An account with this e-mail address exists."


class UserNotFound(Refusal):
    code = "user_not_found"
    message = "There is no such user."


@dataclass(frozen=True, slots=True)
class StoredUser:
    """A user as the database holds it: personal columns sealed, with the wrapped data key that opens them."""

    id: UserId
    status: str
    email_sealed: bytes
    full_name_sealed: bytes | None
    preferences: str
    email_verified_at: datetime | None
    created_at: datetime
    updated_at: datetime
    data_key_wrapped: bytes


@dataclass(frozen=True, slots=True)
class User:
    """A user, opened."""

    id: UserId
    status: UserStatus
    email: str
    full_name: str | None
    preferences: dict[str, Any]
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
