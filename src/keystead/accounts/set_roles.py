"""Set the roles of a user."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from keystead.accounts.account import Account, LoadForAct, ShowUser, require_another_administrator
from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.kernel.caller import Actor, Permission, PermissionMissing, ReauthenticationRequired
from keystead.kernel.db import Database, Tx
from keystead.kernel.errors import FieldError, InvalidInput
from keystead.kernel.ids import UserId
from keystead.roles import store
from keystead.roles.book import RoleBook
from keystead.roles.types import ADMIN, LastAdministrator
from keystead.sessions.listing import end_issued
from keystead.sessions.types import EndReason
from keystead.users.types import UserNotFound


@dataclass(frozen=True, slots=True)
class SetRoles:
    """Holds from the user's next request on, whatever tokens they have. Nobody gives or takes what they may not do.

    Raises UserNotFound, InvalidInput for an unknown role, LastAdministrator, PermissionMissing,
    ReauthenticationRequired.
    """

    db: Database
    load_for_act: LoadForAct
    role_book: RoleBook
    show_user: ShowUser
    requires: ClassVar = Permission.ROLES_GRANT
    is_sensitive: ClassVar = True
    refuses: ClassVar = (
        UserNotFound,
        InvalidInput,
        LastAdministrator,
        PermissionMissing,
        ReauthenticationRequired,
    )

    async def __call__(self, actor: Actor, user_id: UserId, roles: Iterable[str]) -> Account:
        actor.require(self.requires)
        actor.require_fresh()
        wanted = frozenset(roles)
        async with self.db.begin() as tx:
            await self.load_for_act(tx, actor, user_id)
            held = frozenset(await store.list_of_user(tx, user_id))
            if await store.lock_defined(tx, wanted) != wanted:
                raise InvalidInput(
                    FieldError("/roles", "role_unknown", "There is no role of one of these names.")
                )
            if ADMIN in held - wanted:
                await require_another_administrator(tx, user_id)
            for role in sorted(wanted - held):
                await give_role(tx, actor, user_id, role)
            # What the user may do now is what was given: compared while it can still be taken back.
            actor.require_covering(await self.role_book.of_user(tx, user_id))
            for role in sorted(held - wanted):
                await store.revoke(tx, user_id, role)
                await record_role(tx, actor, EventName.ROLE_REVOKED, user_id, role)
            return await self.show_user.read(tx, user_id)


async def give_role(tx: Tx, actor: Actor, user_id: UUID, role: str) -> bool:
    """False where the user has it. Sessions in the user's name end: whoever holds one was let when it could do less."""
    if not await store.grant(tx, user_id, role):
        return False
    await record_role(tx, actor, EventName.ROLE_GRANTED, user_id, role)
    await end_issued(tx, actor, user_id, EndReason.ROLE_GRANTED)
    return True


async def record_role(tx: Tx, actor: Actor, name: EventName, user_id: UUID, role: str) -> None:
    await trail.record(
        tx,
        Event(
            name,
            actor_id=actor.user_id,
            subject_id=user_id,
            session_id=actor.credential_id,
            detail={"role": role},
        ),
    )
