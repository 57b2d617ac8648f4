"""Sessions, and why they end."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from keystead.kernel.ids import SessionId, UserId


class EndReason(StrEnum):
    LOGOUT = "logout"
    LOGOUT_ALL = "logout_all"
    TOKEN_REUSED = "token_reused"


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long a session lives, and how long the token before the current one is answered alike."""

    idle: timedelta
    absolute: timedelta
    reuse_window: timedelta


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A session at one moment of the database (`now`), with what its tokens say."""

    id: SessionId
    user_id: UserId
    client_id: str
    generation: int
    amr: tuple[str, ...]
    auth_time: datetime
    roles: tuple[str, ...]
    expires_at: datetime
    now: datetime
