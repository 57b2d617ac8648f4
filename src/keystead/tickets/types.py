"""Tickets and idempotency keys."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from keystead.kernel.errors import Refusal
from keystead.kernel.ids import UserId


class Purpose(StrEnum):
    """What a ticket is good for, and nothing else."""

    VERIFY_EMAIL = "verify_email"
    RESET_PASSWORD = "reset_password"
    CHANGE_EMAIL = "change_email"
    INVITATION = "invitation"
    UNLOCK = "unlock"


class TicketRefused(Refusal):
    """Forged, used, expired, overtaken by a newer password, or for something else: one refusal for all of it."""

    code = "invalid_link"
    message = "This link is not valid any more. Ask for a new one."


class KeyReused(Refusal):
    """An Idempotency-Key stands for one request; another one needs a key of its own."""

    code = "idempotency_key_reused"
    message = "This Idempotency-Key was sent with another request. Make a new key for each."


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a live ticket entitles to. `content_sealed` is under the user's data key."""

    id: UUID
    user_id: UserId
    client_id: str
    password_version: int
    content_sealed: bytes | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Once:
    """The name of a creating request, so that its repetition is recognised (Idempotency-Key)."""

    caller_id: UUID
    route: str
    key: str
    body: bytes
