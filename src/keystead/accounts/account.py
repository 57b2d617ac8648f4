"""An account as administrators see it: the user, with the roles that they hold."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from keystead.kernel.caller import Actor, Caller, OwnerOr, Permission
from keystead.kernel.db import Database, Runner, Tx
from keystead.kernel.ids import UserId
from keystead.roles import store as roles
from keystead.roles.book import RoleBook
from keystead.roles.types import ADMIN, LastAdministrator
from keystead.users import store
from keystead.users.profile import ShowProfile
from keystead.users.types import StoredUser, User, UserNotFound, UserStatus


@dataclass(frozen=True, slots=True)
class Account:
    user: User
    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ShowUser:
    """Raises UserNotFound, to a stranger before anybody looks."""

    db: Database
    show_profile: ShowProfile
    requires: ClassVar = OwnerOr(Permission.USERS_READ)
    refuses: ClassVar = (UserNotFound,)

    async def __call__(self, caller: Caller, user_id: UserId) -> Account:
        require_owner_or(caller, user_id, self.requires.permission)
        return await self.read(self.db, user_id)

    async def read(self, db: Runner, user_id: UUID) -> Account:
        """Whoever asks. Raises UserNotFound."""
        stored = await store.load(db, user_id)
        return Account(self.show_profile(stored), await roles.list_of_user(db, user_id))


def require_owner_or(caller: Caller, user_id: UserId, permission: Permission) -> None:
    """Raises UserNotFound: to a stranger, somebody else's account is as if it were not."""
    if not caller.owns(user_id) and not caller.may(permission):
        raise UserNotFound


@dataclass(frozen=True, slots=True)
class LoadForAct:
    """The user that an administrator acts on, locked: one who may do no more than the actor."""

    role_book: RoleBook

    async def __call__(self, tx: Tx, actor: Actor, user_id: UUID) -> StoredUser:
        """Raises UserNotFound, PermissionMissing."""
        stored = await store.load_for_update(tx, user_id)
        if actor.user_id != user_id:
            actor.require_covering(await self.role_book.of_user(tx, user_id))
        return stored


async def require_another_administrator(tx: Tx, user_id: UUID) -> None:
    """Before an administrator goes: raises LastAdministrator where no other active one would be left."""
    administrators = await roles.lock_administration(tx)
    if user_id not in administrators:
        return
    for other in administrators:
        if other != user_id:
            found = await store.find(tx, other)
            if found is not None and found.status == UserStatus.ACTIVE:
                return
    raise LastAdministrator(role=ADMIN)
