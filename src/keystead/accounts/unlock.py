"""Unlock an account with the link that its owner was mailed."""

from dataclasses import dataclass
from typing import ClassVar

from keystead.accounts.forget_guesses import forget_guesses
from keystead.accounts.redeem import redeem
from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.kernel.caller import Access
from keystead.kernel.db import Database
from keystead.limits.types import RouteClass
from keystead.tickets.desk import Desk
from keystead.tickets.types import Purpose, TicketRefused
from keystead.users import store
from keystead.users.types import UserStatus


@dataclass(frozen=True, slots=True)
class Unlock:
    """Whoever reads the mailbox opens the account, and what others guessed counts no more; the password stays.

    Raises TicketRefused.
    """

    db: Database
    desk: Desk
    requires: ClassVar = Access.TICKET
    limited_as: ClassVar = RouteClass.LINK
    refuses: ClassVar = (TicketRefused,)

    async def __call__(self, token: str) -> None:
        async with self.db.begin() as tx:
            user = (await redeem(tx, self.desk, token, Purpose.UNLOCK)).user
            was_locked = await store.change_status(
                tx, user.id, allowed=(UserStatus.LOCKED,), new=UserStatus.ACTIVE
            )
            if not was_locked and user.status != UserStatus.ACTIVE:
                raise TicketRefused
            await forget_guesses(tx, user.id)
            event = EventName.USER_UNLOCKED if was_locked else EventName.LOGIN_UNBLOCKED
            await trail.record(tx, Event(event, actor_id=user.id, subject_id=user.id))
