"""Verify a user's address, as an operator who knows that it is theirs."""

from dataclasses import dataclass
from uuid import UUID

from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.kernel.db import Database, Tx
from keystead.kernel.errors import Refusal
from keystead.kernel.ids import UserId
from keystead.users import store
from keystead.users.email import parse_email
from keystead.users.types import EmailTaken, StoredUser, UserNotFound, UserStatus
from keystead.vault import Vault


class SeveralAttempts(Refusal):
    """Whose attempt wins decides whose password opens the account, so nobody guesses: the operator names one."""

    code = "several_attempts"
    message = "Several people tried to register this address. Name the attempt that is the owner's."


@dataclass(frozen=True, slots=True)
class VerifyUser:
    """Makes a pending attempt the account of its address and discards the others; verified already is no error.

    Raises InvalidInput, UserNotFound, EmailTaken, SeveralAttempts (with `attempts`: id and time of each).
    """

    db: Database
    vault: Vault

    async def __call__(self, *, email: str, attempt: UUID | None = None) -> UserId:
        index = self.vault.index(parse_email(email).canonical, purpose="email_index")
        async with self.db.begin() as tx:
            found = await store.list_by_email_for_update(tx, index)
            chosen = _choose(found, attempt)
            if chosen.status == UserStatus.PENDING:
                await self._verify(tx, chosen.id, [user.id for user in found if user.id != chosen.id])
        return chosen.id

    async def _verify(self, tx: Tx, user_id: UserId, others: list[UserId]) -> None:
        if not await store.verify_pending(tx, user_id):
            raise EmailTaken
        await trail.record(tx, Event(EventName.USER_VERIFIED, subject_id=user_id))
        for other in others:
            if await store.discard_pending(tx, other):
                await self.vault.shred(tx, other)


def _choose(found: list[StoredUser], attempt: UUID | None) -> StoredUser:
    """The account, or else the only attempt, or the one that was named."""
    candidates = [user for user in found if attempt in (None, user.id)]
    if not candidates:
        raise UserNotFound
    if candidates[0].status == UserStatus.PENDING and len(candidates) > 1:
        raise SeveralAttempts(
            attempts=[{"id": str(user.id), "at": user.created_at.isoformat()} for user in candidates]
        )
    return candidates[0]
