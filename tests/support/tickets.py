"""Tickets for tests, as the mails would carry them."""

from uuid import UUID

from keystead.accounts.change_email import NewAddress
from keystead.kernel.caller import Operator
from keystead.kernel.ids import UserId
from keystead.tickets.types import Purpose
from tests.support.people import new_email


async def ticket(core, user_id, purpose, *, content=None):
    """A live ticket of somebody; the token that its link holds."""
    desk, db = core.flows.unlock.desk, core.flows.unlock.db
    stored = await db.fetch_row("SELECT password_version FROM users WHERE id = $1", UUID(str(user_id)))
    async with db.begin() as tx:
        ticket_id = await desk.issue(
            tx,
            purpose,
            user_id=UserId(UUID(str(user_id))),
            client_id=core.applications.book.default.client_id,
            password_version=stored["password_version"],
            content_sealed=content,
        )
    return desk.tokens.make(ticket_id, purpose).reveal()


async def reset_ticket(core, user_id):
    return await ticket(core, user_id, Purpose.RESET_PASSWORD)


async def verify_ticket(core, user_id):
    return await ticket(core, user_id, Purpose.VERIFY_EMAIL)


async def unlock_ticket(core, user_id):
    """Of an account that this locks."""
    db = core.flows.unlock.db
    await db.execute("UPDATE users SET status = 'locked' WHERE id = $1", UUID(str(user_id)))
    return await ticket(core, user_id, Purpose.UNLOCK)


async def change_email_ticket(core, user_id, email=None, *, end_sessions=False, keep_session=None):
    verb = core.flows.confirm_email_change
    data_key = await verb.vault.load_data_key(verb.db, UUID(str(user_id)))
    wanted = NewAddress(email or new_email(), end_sessions, keep_session or str(UUID(int=0)))
    return await ticket(core, user_id, Purpose.CHANGE_EMAIL, content=wanted.seal(data_key))


async def invitation_ticket(core, email=None, **wanted):
    """Of somebody new, who is invited by this."""
    invited = await core.accounts.invite(Operator(), email=email or new_email(), **wanted)
    return core.flows.unlock.desk.tokens.make(invited.ticket_id, Purpose.INVITATION).reveal()
