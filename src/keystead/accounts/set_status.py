"""Disable, enable, lock and unlock an account, as an administrator."""

from dataclasses import dataclass
from typing import ClassVar

from keystead.accounts.account import LoadForAct, require_another_administrator
from keystead.accounts.forget_guesses import forget_guesses
from keystead.applications.book import Applications
from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.kernel.caller import Actor, Permission, PermissionMissing, ReauthenticationRequired
from keystead.kernel.db import Database, Tx
from keystead.kernel.errors import Refusal
from keystead.kernel.ids import UserId
from keystead.notices import queue
from keystead.notices.types import MailKind
from keystead.roles.types import LastAdministrator
from keystead.sessions.listing import end_all
from keystead.sessions.types import EndReason
from keystead.tickets import store as tickets
from keystead.tickets.desk import Desk
from keystead.tickets.types import Purpose
from keystead.users import store
from keystead.users.types import StoredUser, UserNotFound, UserStatus


class StatusMismatch(Refusal):
    """`account_status` is the one that it is in."""

    code = "status_mismatch"
    message = "An account in this state cannot be changed so."


@dataclass(frozen=True, slots=True)
class SetStatus:
    """How every change of state is made; asking for the state that there is changes nothing."""

    db: Database
    load_for_act: LoadForAct

    async def __call__(
        self,
        tx: Tx,
        actor: Actor,
        user_id: UserId,
        *,
        allowed: tuple[UserStatus, ...],
        new: UserStatus,
        event: EventName,
    ) -> StoredUser | None:
        """The user as it was; None where it is in that state. Raises StatusMismatch and what LoadForAct does."""
        stored = await self.load_for_act(tx, actor, user_id)
        if stored.status == new:
            return None
        if new != UserStatus.ACTIVE:
            await require_another_administrator(tx, user_id)
        if not await store.change_status(tx, user_id, allowed=allowed, new=new):
            raise StatusMismatch(account_status=stored.status)
        await trail.record(
            tx, Event(event, actor_id=actor.user_id, subject_id=user_id, session_id=actor.credential_id)
        )
        return stored


@dataclass(frozen=True, slots=True)
class DisableUser:
    """Sessions end at once, sign-in is refused like a wrong password, until somebody enables the account again."""

    set_status: SetStatus
    applications: Applications
    requires: ClassVar = Permission.USERS_DISABLE
    is_sensitive: ClassVar = True
    refuses: ClassVar = (
        UserNotFound,
        StatusMismatch,
        LastAdministrator,
        PermissionMissing,
        ReauthenticationRequired,
    )

    async def __call__(self, actor: Actor, user_id: UserId) -> None:
        actor.require(self.requires)
        actor.require_fresh()
        async with self.set_status.db.begin() as tx:
            changed = await self.set_status(
                tx,
                actor,
                user_id,
                allowed=(UserStatus.ACTIVE, UserStatus.LOCKED),
                new=UserStatus.DISABLED,
                event=EventName.USER_DISABLED,
            )
            if changed is not None:
                await end_all(tx, actor, user_id, EndReason.USER_DISABLED)
                await queue.enqueue(
                    tx,
                    MailKind.ACCOUNT_DISABLED,
                    client_id=self.applications.default.client_id,
                    user_id=user_id,
                )


@dataclass(frozen=True, slots=True)
class EnableUser:
    """The password is the one of before."""

    set_status: SetStatus
    requires: ClassVar = Permission.USERS_DISABLE
    is_sensitive: ClassVar = True
    refuses: ClassVar = (UserNotFound, StatusMismatch, PermissionMissing, ReauthenticationRequired)

    async def __call__(self, actor: Actor, user_id: UserId) -> None:
        actor.require(self.requires)
        actor.require_fresh()
        async with self.set_status.db.begin() as tx:
            await self.set_status(
                tx,
                actor,
                user_id,
                allowed=(UserStatus.DISABLED,),
                new=UserStatus.ACTIVE,
                event=EventName.USER_ENABLED,
            )


@dataclass(frozen=True, slots=True)
class LockUser:
    """Sessions end at once; the owner gets a link by mail, and signs in again after proving the mailbox with it."""

    set_status: SetStatus
    desk: Desk
    applications: Applications
    requires: ClassVar = Permission.USERS_DISABLE
    is_sensitive: ClassVar = True
    refuses: ClassVar = DisableUser.refuses

    async def __call__(self, actor: Actor, user_id: UserId) -> None:
        actor.require(self.requires)
        actor.require_fresh()
        async with self.set_status.db.begin() as tx:
            changed = await self.set_status(
                tx,
                actor,
                user_id,
                allowed=(UserStatus.ACTIVE,),
                new=UserStatus.LOCKED,
                event=EventName.USER_LOCKED,
            )
            if changed is not None:
                await end_all(tx, actor, user_id, EndReason.USER_LOCKED)
                await self._tell(tx, changed)

    async def _tell(self, tx: Tx, stored: StoredUser) -> None:
        client_id = self.applications.default.client_id
        await tickets.void(tx, stored.id, Purpose.UNLOCK)  # a link of an earlier lock does not open this one
        ticket_id = await self.desk.issue(
            tx,
            Purpose.UNLOCK,
            user_id=stored.id,
            client_id=client_id,
            password_version=stored.password_version,
        )
        await queue.enqueue(
            tx, MailKind.ACCOUNT_LOCKED, client_id=client_id, user_id=stored.id, ticket_id=ticket_id
        )


@dataclass(frozen=True, slots=True)
class UnlockUser:
    """As an administrator, who knows that it is the owner who asks. What was guessed at the account counts no more."""

    set_status: SetStatus
    requires: ClassVar = Permission.USERS_DISABLE
    is_sensitive: ClassVar = True
    refuses: ClassVar = EnableUser.refuses

    async def __call__(self, actor: Actor, user_id: UserId) -> None:
        actor.require(self.requires)
        actor.require_fresh()
        async with self.set_status.db.begin() as tx:
            await self.set_status(
                tx,
                actor,
                user_id,
                allowed=(UserStatus.LOCKED,),
                new=UserStatus.ACTIVE,
                event=EventName.USER_UNLOCKED,
            )
            await forget_guesses(tx, user_id)
