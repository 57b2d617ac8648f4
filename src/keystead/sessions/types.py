"""Sessions, and why they end."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from keystead.kernel.errors import Refusal
from keystead.kernel.ids import SessionId, UserId


class EndReason(StrEnum):
    LOGOUT = "logout"
    LOGOUT_ALL = "logout_all"
    TOKEN_REUSED = "token_reused"
    REAUTHENTICATED = "reauthenticated"
    TOO_MANY_SESSIONS = "too_many_sessions"
    ENDED_BY_OWNER = "ended_by_owner"
    ENDED_BY_ADMINISTRATOR = "ended_by_administrator"
    PASSWORD_CHANGED = "password_changed"
    PASSWORD_RESET = "password_reset"
    EMAIL_CHANGED = "email_changed"
    ROLE_GRANTED = "role_granted"
    USER_DISABLED = "user_disabled"
    USER_LOCKED = "user_locked"
    REVOKED = "revoked"
    HOOK_REFUSED = "hook_refused"
    TOKEN_TOO_LARGE = "token_too_large"
    APPLICATION_DELETED = "application_deleted"


class SessionNotFound(Refusal):
    """No such session, or none that the caller may know of: deliberately the same."""

    code = "session_not_found"
    message = "There is no such session."


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A session at one moment of the database (`now`), with what its tokens say.

    `auth_time` is None, and `actor_id` who it was, where somebody else started it in the user's name.
    """

    id: SessionId
    user_id: UserId
    client_id: str
    generation: int
    amr: tuple[str, ...]
    auth_time: datetime | None
    actor_id: UserId | None
    roles: tuple[str, ...]
    expires_at: datetime
    now: datetime


@dataclass(frozen=True, slots=True)
class Device:
    """What a session was started with, as far as it tells (untrusted): for its owner to recognise."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A live session, as its owner sees it. `last_seen_at` is the last sign-in or refresh."""

    id: SessionId
    user_id: UserId
    client_id: str
    device: Device | None
    amr: tuple[str, ...]
    auth_time: datetime | None
    actor_id: UserId | None
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime
