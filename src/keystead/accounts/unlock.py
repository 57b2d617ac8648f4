"""Unlock an account with the link that its owner was mailed."""

from dataclasses import dataclass
from typing import ClassVar

from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.kernel.caller import Access
from keystead.kernel.db import Database
from keystead.tickets.desk import Desk
from keystead.tickets.types import Purpose, TicketRefused
from keystead.users import store
from keystead.users.types import UserStatus


@dataclass(frozen=True, slots=True)
class Unlock:
    """Whoever reads the mailbox opens the account; the password stays. Raises TicketRefused."""

    db: Database
    desk: Desk
    requires: ClassVar = Access.TICKET
    refuses: ClassVar = (TicketRefused,)

    async def __call__(self, token: str) -> None:
        async with self.db.begin() as tx:
            ticket = await self.desk.consume(tx, token, Purpose.UNLOCK)
            is_open = await store.change_status(
                tx, ticket.user_id, allowed=(UserStatus.LOCKED,), new=UserStatus.ACTIVE
            )
            if not is_open:
                raise TicketRefused
            await trail.record(
                tx,
                Event(EventName.USER_UNLOCKED, actor_id=ticket.user_id, subject_id=ticket.user_id),
            )
