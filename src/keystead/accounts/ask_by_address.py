"""Ask for a link by address: to prove it, or to set a new password."""

from dataclasses import dataclass
from typing import ClassVar

from keystead.applications.book import Applications
from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.kernel.caller import Access
from keystead.kernel.db import Database
from keystead.kernel.errors import InvalidInput
from keystead.limits.types import RouteClass
from keystead.notices import queue
from keystead.notices.queue import RequestKind
from keystead.users.email import parse_email
from keystead.vault import Vault


@dataclass(frozen=True, slots=True)
class AskByAddress:
    """A link by mail, if the address is one that it is for: the same work and answer for every address."""

    db: Database
    vault: Vault
    applications: Applications
    kind: RequestKind
    event: EventName
    requires: ClassVar = Access.PUBLIC
    limited_as: ClassVar = RouteClass.MAIL
    refuses: ClassVar = (InvalidInput,)

    async def __call__(self, *, email: str, client_id: str | None = None) -> None:
        application = await self.applications.choose(client_id)
        index = self.vault.index(parse_email(email).canonical, purpose="email_index")
        async with self.db.begin() as tx:
            await queue.request(tx, self.kind, client_id=application.client_id, email_index=index)
            await trail.record(tx, Event(self.event))
