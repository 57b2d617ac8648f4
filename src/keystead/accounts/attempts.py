"""Attempts to register: one becomes the account of its address, the others go."""

from dataclasses import dataclass

from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.kernel.db import Tx
from keystead.kernel.ids import UserId
from keystead.users import store
from keystead.users.email import parse_email
from keystead.users.types import StoredUser, UserStatus
from keystead.vault import Vault


@dataclass(frozen=True, slots=True)
class SettleAttempts:
    """After one attempt was made the account, in the same transaction: records it and discards the others."""

    vault: Vault

    async def __call__(self, tx: Tx, winner: UserId, of_address: list[StoredUser]) -> None:
        """`of_address`: every row of the address, locked before the winner was chosen."""
        await trail.record(tx, Event(EventName.USER_VERIFIED, subject_id=winner))
        for other in of_address:
            if other.id != winner and other.status == UserStatus.PENDING:
                await self.discard(tx, other.id)

    async def discard(self, tx: Tx, attempt: UserId) -> None:
        if await store.discard_pending(tx, attempt):
            await self.vault.shred(tx, attempt)

    async def lock_address(self, tx: Tx, email: str) -> list[StoredUser]:
        """Every row of the address, so that of two attempts that would win one waits and then loses."""
        email_index = self.vault.index(parse_email(email).canonical, purpose="email_index")
        return await store.list_by_email_for_update(tx, email_index)
