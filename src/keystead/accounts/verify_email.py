"""Prove an e-mail address with the link that was sent to it."""

from dataclasses import dataclass
from typing import ClassVar

from keystead.accounts.attempts import SettleAttempts
from keystead.accounts.redeem import Redeemed, redeem
from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.kernel.caller import Access
from keystead.kernel.db import Database, Tx
from keystead.limits.types import RouteClass
from keystead.tickets.desk import Desk
from keystead.tickets.types import Purpose, TicketRefused
from keystead.users import store
from keystead.users.types import EmailTaken, UserStatus


@dataclass(frozen=True, slots=True)
class VerifyEmail:
    """The attempt whose link is followed becomes the account. Raises TicketRefused, EmailTaken."""

    db: Database
    desk: Desk
    settle_attempts: SettleAttempts
    requires: ClassVar = Access.TICKET
    limited_as: ClassVar = RouteClass.LINK
    refuses: ClassVar = (TicketRefused, EmailTaken)

    async def __call__(self, token: str) -> None:
        async with self.db.begin() as tx:
            await self._prove(tx, await redeem(tx, self.desk, token, Purpose.VERIFY_EMAIL))

    async def _prove(self, tx: Tx, redeemed: Redeemed) -> None:
        user = redeemed.user
        if user.status == UserStatus.PENDING:
            if not await store.verify_pending(tx, user.id):
                raise EmailTaken
            await self.settle_attempts(tx, user.id, redeemed.of_address)
        elif user.status in (UserStatus.ACTIVE, UserStatus.LOCKED):
            if await store.mark_email_verified(tx, user.id):
                await trail.record(tx, Event(EventName.USER_VERIFIED, subject_id=user.id))
        else:
            raise TicketRefused
