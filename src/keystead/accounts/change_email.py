"""Move an account to a new address: asked for with the password, done when the new mailbox is proven."""

import json
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from keystead.accounts.confirm_password import ConfirmPassword
from keystead.accounts.redeem import Redeemed, redeem
from keystead.applications.book import Applications
from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.auth.refusals import LoginRefused
from keystead.kernel.caller import Access, Caller, Operator, ReauthenticationRequired
from keystead.kernel.db import Database, Tx
from keystead.kernel.errors import InvalidInput, Overloaded
from keystead.kernel.ids import SessionId
from keystead.limits.guesses import TooManyAttempts
from keystead.limits.types import RouteClass
from keystead.notices import queue
from keystead.notices.queue import RequestKind
from keystead.notices.types import MailKind
from keystead.sessions.listing import end_all
from keystead.sessions.types import EndReason
from keystead.tickets import store as tickets
from keystead.tickets.desk import Desk
from keystead.tickets.store import KeptTicket
from keystead.tickets.types import Purpose, Ticket, TicketRefused
from keystead.users import store
from keystead.users.email import parse_email
from keystead.users.profile import open_user, seal_email
from keystead.users.types import EmailTaken
from keystead.vault import DataKey, Vault


@dataclass(frozen=True, slots=True)
class NewAddress:
    """What a ticket to change an address entitles to. `keep_session`: the one that asked, and goes on."""

    email: str
    end_sessions: bool
    keep_session: str

    def seal(self, data_key: DataKey) -> bytes:
        text = json.dumps([self.email, self.end_sessions, self.keep_session], ensure_ascii=False)
        return data_key.seal(text, table="tickets", column="content")

    @classmethod
    def open(cls, data_key: DataKey, ticket: Ticket | KeptTicket) -> "NewAddress":
        """Raises vault.Unreadable."""
        return cls(
            *json.loads(data_key.open(ticket.content_sealed or b"", table="tickets", column="content"))
        )


@dataclass(frozen=True, slots=True)
class RequestEmailChange:
    """Mails a link to the new address, and a notice to the old one. Nothing changes until the link is used; whether
    the address is free is told to its mailbox alone.

    Raises LoginRefused, InvalidInput, Overloaded, ReauthenticationRequired.
    """

    db: Database
    vault: Vault
    confirm_password: ConfirmPassword
    desk: Desk
    applications: Applications
    requires: ClassVar = Access.SIGNED_IN
    is_sensitive: ClassVar = True
    limited_as: ClassVar = RouteClass.PROOF
    refuses: ClassVar = (LoginRefused, TooManyAttempts, InvalidInput, Overloaded, ReauthenticationRequired)

    async def __call__(self, caller: Caller, *, email: str, password: str, end_other_sessions: bool) -> None:
        caller.require_fresh()
        address = parse_email(email)
        credential = await self.confirm_password(caller, password)
        client_id = self.applications.default.client_id
        data_key = self.vault.open_data_key(caller.user_id, credential.data_key_wrapped)
        wanted = NewAddress(address.display, end_other_sessions, str(caller.session_id))
        async with self.db.begin() as tx:
            await store.load_for_update(tx, caller.user_id)  # of several requests at once, the last one holds
            await tickets.void(tx, caller.user_id, Purpose.CHANGE_EMAIL)
            ticket_id = await self.desk.issue(
                tx,
                Purpose.CHANGE_EMAIL,
                user_id=caller.user_id,
                client_id=client_id,
                password_version=credential.password_version,
                content_sealed=wanted.seal(data_key),
            )
            await queue.request(
                tx,
                RequestKind.EMAIL_CHANGE,
                client_id=client_id,
                email_index=self.vault.index(address.canonical, purpose="email_index"),
                user_id=caller.user_id,
                ticket_id=ticket_id,
            )
            await queue.enqueue(
                tx, MailKind.EMAIL_CHANGE_REQUESTED, client_id=client_id, user_id=caller.user_id
            )
            await trail.record(
                tx,
                Event(
                    EventName.EMAIL_CHANGE_REQUESTED,
                    actor_id=caller.user_id,
                    subject_id=caller.user_id,
                    session_id=caller.credential_id,
                ),
            )


@dataclass(frozen=True, slots=True)
class ConfirmEmailChange:
    """The new mailbox is proven: the account is reached by it from now on, and both addresses are told. What the old
    mailbox holds opens nothing any more.

    Raises TicketRefused, EmailTaken.
    """

    db: Database
    vault: Vault
    desk: Desk
    requires: ClassVar = Access.TICKET
    limited_as: ClassVar = RouteClass.LINK
    refuses: ClassVar = (TicketRefused, EmailTaken)

    async def __call__(self, token: str) -> None:
        async with self.db.begin() as tx:
            await self._change(tx, await redeem(tx, self.desk, token, Purpose.CHANGE_EMAIL))

    async def _change(self, tx: Tx, redeemed: Redeemed) -> None:
        ticket, stored = redeemed.ticket, redeemed.user
        data_key = self.vault.open_data_key(stored.id, stored.data_key_wrapped)
        old = open_user(data_key, stored)
        wanted = NewAddress.open(data_key, ticket)
        address = parse_email(wanted.email)
        is_changed = await store.replace_email(
            tx,
            stored.id,
            email_index=self.vault.index(address.canonical, purpose="email_index"),
            email_domain_index=self.vault.index(address.domain, purpose="email_domain_index"),
            email_sealed=seal_email(data_key, address),
            password_version=ticket.password_version,
        )
        if not is_changed:
            raise TicketRefused
        await tickets.void_all(tx, stored.id)
        if wanted.end_sessions:
            keep = SessionId(UUID(wanted.keep_session))
            await end_all(tx, Operator(), stored.id, EndReason.EMAIL_CHANGED, but=keep)
        await trail.record(tx, Event(EventName.EMAIL_CHANGED, actor_id=stored.id, subject_id=stored.id))
        for to in (old.email, address.display):
            await queue.enqueue(
                tx,
                MailKind.EMAIL_CHANGED,
                client_id=ticket.client_id,
                user_id=stored.id,
                data_key=data_key,
                facts={"to": to},
            )
