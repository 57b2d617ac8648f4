"""Set a new password with a link from a mail: asked for by its owner, or started by an administrator."""

from dataclasses import dataclass
from typing import ClassVar

from keystead.accounts.account import LoadForAct
from keystead.accounts.api_keys import revoke_all
from keystead.accounts.attempts import SettleAttempts
from keystead.accounts.forget_guesses import forget_guesses
from keystead.accounts.redeem import Redeemed, redeem
from keystead.applications.book import Applications
from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.kernel.caller import Access, Actor, Operator, Permission, PermissionMissing
from keystead.kernel.db import Database, Tx
from keystead.kernel.ids import UserId
from keystead.limits.types import RouteClass
from keystead.notices import queue
from keystead.notices.types import MailKind
from keystead.sessions.listing import end_all
from keystead.sessions.types import EndReason
from keystead.tickets.desk import Desk
from keystead.tickets.types import Purpose, Ticket, TicketRefused
from keystead.users import store
from keystead.users.email import parse_email
from keystead.users.passwords import Hasher, PasswordRules
from keystead.users.profile import ShowProfile
from keystead.users.types import EmailTaken, StoredUser, UserNotFound, UserStatus


@dataclass(frozen=True, slots=True)
class ResetPassword:
    """The new password holds, every session ends, a locked account opens, and an attempt becomes the account.

    What is refused uses nothing up: a password that breaks the rules leaves the link as it was. Raises TicketRefused,
    InvalidInput, EmailTaken, Overloaded.
    """

    db: Database
    desk: Desk
    hasher: Hasher
    rules: PasswordRules
    show_profile: ShowProfile
    settle_attempts: SettleAttempts
    requires: ClassVar = Access.TICKET
    limited_as: ClassVar = RouteClass.LINK
    refuses: ClassVar = (TicketRefused, EmailTaken, *PasswordRules.refuses)

    async def __call__(self, *, token: str, password: str) -> None:
        ticket = await self.desk.peek(self.db, token, Purpose.RESET_PASSWORD)
        await self._check(ticket, password)
        hashed = await self.hasher.hash(password)
        async with self.db.begin() as tx:
            redeemed = await redeem(tx, self.desk, token, Purpose.RESET_PASSWORD)
            if redeemed.user.status == UserStatus.PENDING:
                await self._complete(tx, redeemed, hashed)
            else:
                await self._replace(tx, redeemed.ticket, redeemed.user, hashed)

    async def _check(self, ticket: Ticket, password: str) -> None:
        stored = await store.find(self.db, ticket.user_id)
        if stored is None or stored.password_version != ticket.password_version:
            raise TicketRefused
        user = self.show_profile(stored)
        await self.rules.check(password, email=parse_email(user.email), full_name=user.full_name)

    async def _complete(self, tx: Tx, redeemed: Redeemed, hashed: str) -> None:
        is_done = await store.complete_pending(
            tx,
            redeemed.user.id,
            password_version=redeemed.ticket.password_version,
            new_hash=hashed,
            full_name_sealed=None,
        )
        if not is_done:
            raise TicketRefused
        await self.settle_attempts(tx, redeemed.user.id, redeemed.of_address)

    async def _replace(self, tx: Tx, ticket: Ticket, stored: StoredUser, hashed: str) -> None:
        is_replaced = await store.replace_password(
            tx, stored.id, password_version=ticket.password_version, new=hashed, mailbox_proven=True
        )
        if not is_replaced:
            raise TicketRefused
        await store.mark_email_verified(tx, stored.id)
        await forget_guesses(tx, stored.id)
        await end_all(tx, Operator(), stored.id, EndReason.PASSWORD_RESET)
        await revoke_all(tx, stored.id)
        await trail.record(tx, Event(EventName.PASSWORD_RESET, actor_id=stored.id, subject_id=stored.id))
        await queue.enqueue(tx, MailKind.PASSWORD_CHANGED, client_id=ticket.client_id, user_id=stored.id)


@dataclass(frozen=True, slots=True)
class StartReset:
    """Mails the owner a link to set a new password. Nobody else sees it, and nobody chooses the password for them.

    Raises UserNotFound, PermissionMissing.
    """

    db: Database
    desk: Desk
    applications: Applications
    load_for_act: LoadForAct
    requires: ClassVar = Permission.USERS_UPDATE
    refuses: ClassVar = (UserNotFound, PermissionMissing)

    async def __call__(self, actor: Actor, user_id: UserId) -> None:
        actor.require(self.requires)
        client_id = self.applications.default.client_id
        async with self.db.begin() as tx:
            stored = await self.load_for_act(tx, actor, user_id)
            if stored.status not in (UserStatus.ACTIVE, UserStatus.LOCKED):
                raise UserNotFound
            ticket_id = await self.desk.issue(
                tx,
                Purpose.RESET_PASSWORD,
                user_id=stored.id,
                client_id=client_id,
                password_version=stored.password_version,
            )
            await queue.enqueue(
                tx, MailKind.RESET_PASSWORD, client_id=client_id, user_id=stored.id, ticket_id=ticket_id
            )
            await trail.record(
                tx,
                Event(
                    EventName.RECOVERY_REQUESTED,
                    actor_id=actor.user_id,
                    subject_id=stored.id,
                    session_id=actor.credential_id,
                ),
            )
