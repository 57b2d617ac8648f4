"""Change a user: their owner, or an administrator."""

from dataclasses import dataclass
from typing import ClassVar

from keystead.accounts.account import Account, LoadForAct, require_owner_or
from keystead.kernel.caller import Caller, OwnerOr, Permission, PermissionMissing
from keystead.kernel.db import Database
from keystead.kernel.errors import FieldError, InvalidInput
from keystead.kernel.ids import UserId
from keystead.roles import store as roles
from keystead.users.profile import ApplyChange, ProfileChange, Unset
from keystead.users.types import UserNotFound, VersionMismatch


@dataclass(frozen=True, slots=True)
class ChangeUser:
    """Name and preferences; `app_metadata` needs the permission, even of one's own account.

    Raises UserNotFound, to a stranger too; InvalidInput, VersionMismatch, PermissionMissing.
    """

    db: Database
    load_for_act: LoadForAct
    apply_change: ApplyChange
    requires: ClassVar = OwnerOr(Permission.USERS_UPDATE)
    refuses: ClassVar = (UserNotFound, InvalidInput, VersionMismatch, PermissionMissing)

    async def __call__(self, caller: Caller, user_id: UserId, change: ProfileChange) -> Account:
        require_owner_or(caller, user_id, self.requires.permission)
        if not isinstance(change.app_metadata, Unset) and not caller.may(self.requires.permission):
            message = "This field is not known here, or not yours to set."
            raise InvalidInput(FieldError("/app_metadata", "unknown_field", message))
        async with self.db.begin() as tx:
            stored = await self.load_for_act(tx, caller, user_id)
            user = await self.apply_change(tx, caller, stored, change)
            return Account(user, await roles.list_of_user(tx, user_id))
