"""The desk: issues tickets, and takes them back once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from keystead.kernel.db import Runner, Tx
from keystead.kernel.ids import UserId, new_uuid
from keystead.kernel.secrets import Secret
from keystead.tickets import store
from keystead.tickets.types import Purpose, Ticket, TicketRefused
from keystead.vault import MacTokens, Vault

_PREFIX = "tk_"
_CODES = {purpose: code for code, purpose in enumerate(Purpose, start=1)}


class TicketTokens:
    """Spells tickets with the vault's `ticket` keys: purpose and id under a MAC. Nothing of it is stored."""

    def __init__(self, vault: Vault) -> None:
        self._tokens = MacTokens(vault, "ticket", prefix=_PREFIX, body_bytes=17)

    def make(self, ticket_id: UUID, purpose: Purpose) -> Secret:
        return self._tokens.make(bytes([_CODES[purpose]]) + ticket_id.bytes)

    def read(self, token: str, purpose: Purpose) -> UUID:
        """The ticket's id. Raises TicketRefused for what we did not make for this purpose, without a look-up."""
        body = self._tokens.read(token)
        if body is None or body[0] != _CODES[purpose]:
            raise TicketRefused
        return UUID(bytes=body[1:])


@dataclass(frozen=True, slots=True)
class Desk:
    """`lifetimes` says how long a ticket of each purpose lives."""

    tokens: TicketTokens
    lifetimes: Mapping[Purpose, timedelta]

    async def issue(
        self,
        tx: Tx,
        purpose: Purpose,
        *,
        user_id: UserId,
        client_id: str,
        password_version: int,
        content_sealed: bytes | None = None,
        ticket_id: UUID | None = None,
    ) -> UUID:
        """A new ticket; its token is spelled when the mail is sent. It dies with the password's version."""
        ticket_id = ticket_id or new_uuid()
        await store.add(
            tx,
            ticket_id,
            purpose,
            user_id=user_id,
            client_id=client_id,
            password_version=password_version,
            content_sealed=content_sealed,
            lifetime=self.lifetimes[purpose],
        )
        return ticket_id

    async def peek(self, db: Runner, token: str, purpose: Purpose) -> Ticket:
        """A live ticket, not used by this. Raises TicketRefused."""
        ticket = await store.find_live(db, self.tokens.read(token, purpose), purpose)
        if ticket is None:
            raise TicketRefused
        return ticket

    async def consume(self, tx: Tx, token: str, purpose: Purpose) -> Ticket:
        """Use it up in the caller's transaction, together with what it pays for. Raises TicketRefused."""
        ticket = await store.consume(tx, self.tokens.read(token, purpose), purpose)
        if ticket is None:
            raise TicketRefused
        return ticket
