"""Look at a ticket without using it: for the page that a mailed link opens."""

from dataclasses import dataclass
from typing import ClassVar

from keystead.kernel.caller import Access
from keystead.kernel.db import Database
from keystead.tickets.desk import Desk
from keystead.tickets.types import Purpose, Ticket, TicketRefused


@dataclass(frozen=True, slots=True)
class Peek:
    """Raises TicketRefused where the ticket would be refused, too."""

    db: Database
    desk: Desk
    requires: ClassVar = Access.TICKET
    refuses: ClassVar = (TicketRefused,)

    async def __call__(self, token: str, purpose: Purpose) -> Ticket:
        return await self.desk.peek(self.db, token, purpose)
