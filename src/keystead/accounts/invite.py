"""Invite somebody: an account that waits for its owner to choose a password."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from keystead.accounts.account import Account, ShowUser
from keystead.accounts.attempts import SettleAttempts
from keystead.accounts.redeem import redeem
from keystead.accounts.set_roles import record_role
from keystead.applications.book import Applications
from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.kernel.caller import Access, Actor, Permission, PermissionMissing, ReauthenticationRequired
from keystead.kernel.db import Database, Tx
from keystead.kernel.errors import Complaints, FieldError, InvalidInput
from keystead.kernel.ids import new_uuid
from keystead.limits.types import RouteClass
from keystead.notices import queue
from keystead.notices.types import MailKind
from keystead.roles import store as roles
from keystead.roles.book import RoleBook
from keystead.roles.types import USER
from keystead.tickets.desk import Desk
from keystead.tickets.repeats import Repeats
from keystead.tickets.types import KeyReused, Once, Purpose, TicketRefused
from keystead.users import store
from keystead.users.add_user import AddUser, NewUser
from keystead.users.email import EmailAddress, parse_email
from keystead.users.passwords import Hasher, PasswordRules
from keystead.users.profile import ShowProfile, check_name, seal_name
from keystead.users.types import NO_PASSWORD, EmailTaken, UserNotFound, UserStatus
from keystead.vault import Vault


@dataclass(frozen=True, slots=True)
class Invited:
    """The account that waits, and its ticket."""

    account: Account
    ticket_id: UUID


@dataclass(frozen=True, slots=True)
class Invite:
    """A pending account with the roles that it will have, and a link for its owner, by mail.

    Raises InvalidInput, EmailTaken, KeyReused, PermissionMissing, ReauthenticationRequired (where roles are given).
    """

    db: Database
    add_user: AddUser
    settle_attempts: SettleAttempts
    role_book: RoleBook
    desk: Desk
    repeats: Repeats
    applications: Applications
    show_user: ShowUser
    requires: ClassVar = Permission.USERS_CREATE
    refuses: ClassVar = (
        InvalidInput,
        EmailTaken,
        KeyReused,
        UserNotFound,
        PermissionMissing,
        ReauthenticationRequired,
    )

    async def __call__(
        self,
        actor: Actor,
        *,
        email: str,
        full_name: str | None = None,
        roles_wanted: Iterable[str] = (USER,),
        client_id: str | None = None,
        once: Once | None = None,
    ) -> Invited:
        actor.require(self.requires)
        wanted = frozenset(roles_wanted)
        if wanted - {USER}:
            actor.require(Permission.ROLES_GRANT)
            actor.require_fresh()
        application = await self.applications.choose(client_id)
        new = _checked(email, full_name)
        async with self.db.begin() as tx:
            wanted_ticket = new_uuid()
            earlier = await self.repeats.claim(tx, once, f"{new.id} {wanted_ticket}")
            if earlier is not None:
                user_id, ticket_id = map(UUID, earlier.split())
                return Invited(await self.show_user.read(tx, user_id), ticket_id)
            of_address = await self.settle_attempts.lock_address(tx, new.email.canonical)
            if any(found.status != UserStatus.PENDING for found in of_address):
                raise EmailTaken
            # The newest invitation holds: an earlier one might give more.
            for earlier_one in await store.list_without_password(tx, [found.id for found in of_address]):
                await self.settle_attempts.discard(tx, earlier_one)
            await self._add(tx, actor, new, wanted)
            await self.desk.issue(
                tx,
                Purpose.INVITATION,
                ticket_id=wanted_ticket,
                user_id=new.id,
                client_id=application.client_id,
                password_version=1,
            )
            await queue.enqueue(
                tx,
                MailKind.INVITATION,
                client_id=application.client_id,
                user_id=new.id,
                ticket_id=wanted_ticket,
            )
            return Invited(await self.show_user.read(tx, new.id), wanted_ticket)

    async def _add(self, tx: Tx, actor: Actor, new: NewUser, wanted: frozenset[str]) -> None:
        if await roles.lock_defined(tx, wanted) != wanted:
            raise InvalidInput(
                FieldError("/roles", "role_unknown", "There is no role of one of these names.")
            )
        await self.add_user(tx, new)
        await trail.record(
            tx,
            Event(
                EventName.USER_INVITED,
                actor_id=actor.user_id,
                subject_id=new.id,
                session_id=actor.credential_id,
            ),
        )
        for role in sorted(wanted):
            await roles.grant(tx, new.id, role)
            await record_role(tx, actor, EventName.ROLE_GRANTED, new.id, role)
        actor.require_covering(await self.role_book.of_user(tx, new.id))


@dataclass(frozen=True, slots=True)
class AcceptInvitation:
    """The invited person chooses a password, and a name if they like: the account is theirs.

    Raises TicketRefused, InvalidInput, EmailTaken, Overloaded. What is refused leaves the link as it was.
    """

    db: Database
    vault: Vault
    desk: Desk
    hasher: Hasher
    rules: PasswordRules
    show_profile: ShowProfile
    settle_attempts: SettleAttempts
    requires: ClassVar = Access.TICKET
    limited_as: ClassVar = RouteClass.LINK
    refuses: ClassVar = (TicketRefused, EmailTaken, *PasswordRules.refuses)

    async def __call__(self, *, token: str, password: str, full_name: str | None = None) -> None:
        ticket = await self.desk.peek(self.db, token, Purpose.INVITATION)
        found = await store.find(self.db, ticket.user_id)
        if found is None or found.status != UserStatus.PENDING:
            raise TicketRefused
        user = self.show_profile(found)
        await self._check(password, parse_email(user.email), full_name or user.full_name)
        hashed = await self.hasher.hash(password)
        data_key = self.vault.open_data_key(found.id, found.data_key_wrapped)
        async with self.db.begin() as tx:
            redeemed = await redeem(tx, self.desk, token, Purpose.INVITATION)
            is_done = await store.complete_pending(
                tx,
                found.id,
                password_version=redeemed.ticket.password_version,
                new_hash=hashed,
                full_name_sealed=seal_name(data_key, full_name or user.full_name),
            )
            if not is_done:
                raise TicketRefused
            await self.settle_attempts(tx, found.id, redeemed.of_address)

    async def _check(self, password: str, email: EmailAddress, full_name: str | None) -> None:
        complaints = Complaints()
        with complaints.noted():
            check_name(full_name)
        with complaints.noted():
            await self.rules.check(password, email=email, full_name=full_name)
        complaints.raise_any()


def _checked(email: str, full_name: str | None) -> NewUser:
    complaints = Complaints()
    with complaints.noted():
        parse_email(email)
    with complaints.noted():
        check_name(full_name)
    complaints.raise_any()
    return NewUser(
        email=parse_email(email),
        full_name=full_name,
        password_hash=NO_PASSWORD,
        status=UserStatus.PENDING,
        is_verified=False,
    )
