"""Verify a user's address, as an operator who knows that it is theirs."""

from dataclasses import dataclass
from uuid import UUID

from keystead.accounts.attempts import SettleAttempts
from keystead.kernel.db import Database
from keystead.kernel.errors import Refusal
from keystead.kernel.ids import UserId
from keystead.users import store
from keystead.users.types import EmailTaken, StoredUser, UserNotFound, UserStatus


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
    settle_attempts: SettleAttempts

    async def __call__(self, *, email: str, attempt: UUID | None = None) -> UserId:
        async with self.db.begin() as tx:
            found = await self.settle_attempts.lock_address(tx, email)
            chosen = _choose(found, attempt)
            if chosen.status == UserStatus.PENDING:
                if not await store.verify_pending(tx, chosen.id):
                    raise EmailTaken
                await self.settle_attempts(tx, chosen.id, found)
        return chosen.id


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
