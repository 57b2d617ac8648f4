"""Redeem a ticket: used up by the person it was made out to, while the password is the one of then."""

from dataclasses import dataclass

from keystead.kernel.db import Tx
from keystead.tickets.desk import Desk
from keystead.tickets.types import Purpose, Ticket, TicketRefused
from keystead.users import store
from keystead.users.types import StoredUser


@dataclass(frozen=True, slots=True)
class Redeemed:
    """`of_address`: every row of the user's address, locked until the transaction ends."""

    ticket: Ticket
    user: StoredUser
    of_address: list[StoredUser]


async def redeem(tx: Tx, desk: Desk, token: str, purpose: Purpose) -> Redeemed:
    """In the transaction of what the ticket pays for. Raises TicketRefused."""
    ticket = await desk.peek(tx, token, purpose)
    # People are locked before their tickets, by everybody: whoever discards an attempt deletes its tickets, too.
    of_address = await store.list_of_address_for_update(tx, ticket.user_id)
    user = next((each for each in of_address if each.id == ticket.user_id), None)
    if user is None or user.password_version != ticket.password_version:
        raise TicketRefused
    await desk.consume(tx, token, purpose)
    return Redeemed(ticket, user, of_address)
