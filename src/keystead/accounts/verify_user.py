"""Verify a user's address, as an operator who knows that it is theirs."""

from dataclasses import dataclass
from uuid import UUID

from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.kernel.db import Database
from keystead.kernel.errors import Refusal
from keystead.kernel.ids import UserId
from keystead.users import store
from keystead.users.email import parse_email
from keystead.users.types import StoredUser, UserNotFound, UserStatus
from keystead.vault import Vault


class SeveralAttempts(Refusal):
    """Whose attempt wins decides whose password opens the account, so nobody guesses: the operator names one."""

    code = "several_attempts"
    message = "Several people tried to register this address. Name the attempt that is the owner's."


@dataclass(frozen=True, slots=True)
class VerifyUser:
    """Makes a pending attempt the account of its address; verified already is no error.

    Raises InvalidInput, UserNotFound, SeveralAttempts (with `attempts`: id and time of each).
    """

    db: Database
    vault: Vault

    async def __call__(self, *, email: str, attempt: UUID | None = None) -> UserId:
        index = self.vault.index(parse_email(email).canonical, purpose="email_index")
        async with self.db.begin() as tx:
            found = await store.find_by_email(tx, index)
            chosen = _choose(found, attempt)
            if await store.verify_pending(tx, chosen.id):
                await trail.record(tx, Event(EventName.USER_VERIFIED, subject_id=chosen.id))
        return chosen.id


def _choose(found: list[StoredUser], attempt: UUID | None) -> StoredUser:
    candidates = [user for user in found if attempt in (None, user.id)]
    if not candidates:
        raise UserNotFound
    if candidates[0].status == UserStatus.PENDING and len(candidates) > 1:
        raise SeveralAttempts(
            attempts=[{"id": str(user.id), "at": user.created_at.isoformat()} for user in candidates]
        )
    return candidates[0]
