"""Write a mail: from its row in the queue to an address and words. Its link is spelled here and nowhere stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from uuid import UUID

from keystead.applications.book import Applications
from keystead.kernel.application import LinkTo
from keystead.kernel.clock import Clock
from keystead.kernel.db import Runner
from keystead.notices import queue
from keystead.notices.render import Renderer
from keystead.notices.store import StoredMail
from keystead.notices.types import MailKind, RenderedMail
from keystead.tickets import store as tickets
from keystead.tickets.desk import Desk
from keystead.tickets.types import Purpose
from keystead.users import store as users
from keystead.users.profile import open_user
from keystead.users.types import User
from keystead.vault import Vault

# Where the link of a mail leads, and what its ticket is good for.
LINKS: Mapping[MailKind, tuple[LinkTo, Purpose]] = MappingProxyType(
    {
        MailKind.VERIFY_EMAIL: (LinkTo.VERIFY, Purpose.VERIFY_EMAIL),
        MailKind.COMPLETE_REGISTRATION: (LinkTo.RESET, Purpose.RESET_PASSWORD),
        MailKind.RESET_PASSWORD: (LinkTo.RESET, Purpose.RESET_PASSWORD),
        MailKind.CHANGE_EMAIL: (LinkTo.CHANGE_EMAIL, Purpose.CHANGE_EMAIL),
        MailKind.INVITATION: (LinkTo.INVITATION, Purpose.INVITATION),
        MailKind.ACCOUNT_LOCKED: (LinkTo.UNLOCK, Purpose.UNLOCK),
        MailKind.LOGIN_BLOCKED: (LinkTo.UNLOCK, Purpose.UNLOCK),
    }
)


_PURPOSES = dict(LINKS.values())


@dataclass(frozen=True, slots=True)
class SpellLink:
    """The link of a ticket, as a mail would hold it: for the operator who made the ticket on the machine."""

    desk: Desk
    applications: Applications

    def __call__(self, to: LinkTo, ticket_id: UUID) -> str:
        token = self.desk.tokens.make(ticket_id, _PURPOSES[to])
        return self.applications.default.link(to, token.reveal())


@dataclass(frozen=True, slots=True)
class WrittenMail:
    to: str
    words: RenderedMail


@dataclass(frozen=True, slots=True)
class WriteMail:
    """None where there is nothing to say any more: the account is gone, or the link was used or has expired.

    Raises vault.Unreadable, and ValueError for facts that no mail can hold.
    """

    vault: Vault
    desk: Desk
    applications: Applications
    renderer: Renderer
    clock: Clock

    async def __call__(self, db: Runner, mail: StoredMail) -> WrittenMail | None:
        stored = await users.find(db, mail.user_id)
        if stored is None:
            return None
        data_key = self.vault.open_data_key(stored.id, stored.data_key_wrapped)
        user = open_user(data_key, stored)
        kind = MailKind(mail.kind)
        application = self.applications.of(mail.client_id)
        facts = queue.open_facts(mail, data_key)
        to = facts.pop("to", user.email)
        facts["product"] = application.name
        if user.full_name is not None:
            facts["name"] = user.full_name
        if kind in LINKS:
            link_to, purpose = LINKS[kind]
            ticket = await tickets.find_live(db, mail.ticket_id, purpose) if mail.ticket_id else None
            if ticket is None or ticket.password_version != stored.password_version:
                return None
            token = self.desk.tokens.make(ticket.id, purpose)
            facts["link"] = application.link(link_to, token.reveal())
            left = ticket.expires_at - self.clock.now() + timedelta(seconds=30)  # told in whole minutes
            facts["expires_in"] = str(int(left.total_seconds()))
        return WrittenMail(to, self.renderer.render(kind, locale=_locale(user), facts=facts))


def _locale(user: User) -> str | None:
    """The language that a person prefers, where they said so."""
    preferred = user.preferences.get("locale")
    return preferred if isinstance(preferred, str) else None
