"""Close an account: everything that says who it was is gone, and what stays sealed elsewhere opens no more."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from keystead.accounts.account import LoadForAct, require_another_administrator, require_owner_or
from keystead.accounts.attempts import SettleAttempts
from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.kernel.caller import (
    Actor,
    Caller,
    OwnerOr,
    Permission,
    PermissionMissing,
    ReauthenticationRequired,
)
from keystead.kernel.db import Database, Tx
from keystead.kernel.ids import UserId
from keystead.machines import store as machines
from keystead.notices import store as mails
from keystead.roles import store as roles
from keystead.roles.types import LastAdministrator
from keystead.sessions import store as sessions
from keystead.tickets import store as tickets
from keystead.users import erasures, store
from keystead.users.types import UserNotFound, UserStatus
from keystead.vault import Vault


@dataclass(frozen=True, slots=True)
class Erase:
    """In the caller's transaction: the data key is destroyed, a tombstone stays so that the id is never given again."""

    vault: Vault

    async def __call__(self, tx: Tx, actor: Actor, user_id: UUID) -> bool:
        """False where it was erased before."""
        of_address = await store.list_of_address_for_update(tx, user_id)
        if not await store.erase(tx, user_id):
            return False
        for other in of_address:  # attempts to register it say whose address it was
            if await store.discard_pending(tx, other.id):
                await self.vault.shred(tx, other.id)
        await sessions.delete_of_user(tx, user_id)
        await roles.revoke_all(tx, user_id)
        await machines.delete_api_keys_of_user(tx, user_id)
        await self.vault.shred(tx, user_id)
        # After the sessions and the user, whose holders write mails and tickets: what they wrote is seen now.
        await mails.delete_of_user(tx, user_id)
        await tickets.delete_of_user(tx, user_id)
        await erasures.add(tx, user_id)
        await trail.record(
            tx,
            Event(
                EventName.USER_ERASED,
                actor_id=actor.user_id,
                subject_id=user_id,
                session_id=actor.credential_id,
            ),
        )
        return True


@dataclass(frozen=True, slots=True)
class CloseAccount:
    """Erases the account; its address can register again. Raises UserNotFound, to a stranger too; LastAdministrator,
    PermissionMissing, ReauthenticationRequired."""

    db: Database
    load_for_act: LoadForAct
    settle_attempts: SettleAttempts
    erase: Erase
    requires: ClassVar = OwnerOr(Permission.USERS_DELETE)
    is_sensitive: ClassVar = True
    refuses: ClassVar = (UserNotFound, LastAdministrator, PermissionMissing, ReauthenticationRequired)

    async def __call__(self, caller: Caller, user_id: UserId) -> None:
        require_owner_or(caller, user_id, self.requires.permission)
        caller.require_fresh()
        async with self.db.begin() as tx:
            stored = await self.load_for_act(tx, caller, user_id)
            if stored.status == UserStatus.PENDING:
                await self.settle_attempts.discard(tx, user_id)
                return
            await require_another_administrator(tx, user_id)
            await self.erase(tx, caller, user_id)


@dataclass(frozen=True, slots=True)
class EraseAgain:
    """Applies an erasure log to a database that was restored from a backup. How many were there again."""

    db: Database
    erase: Erase

    async def __call__(self, actor: Actor, user_ids: Iterable[UUID]) -> int:
        count = 0
        for user_id in user_ids:
            async with self.db.begin() as tx:
                count += await self.erase(tx, actor, user_id)
        return count
