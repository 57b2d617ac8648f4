"""Create a user, as an operator."""

from dataclasses import dataclass

from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.kernel.db import Database
from keystead.kernel.ids import UserId
from keystead.roles import store as roles
from keystead.roles.types import ADMIN, USER
from keystead.users.add_user import AddUser, NewUser, check_new_user
from keystead.users.passwords import Hasher, PasswordRules
from keystead.users.types import UserStatus


@dataclass(frozen=True, slots=True)
class CreateUser:
    """An active user whose address the operator vouches for. Raises InvalidInput, EmailTaken."""

    db: Database
    hasher: Hasher
    rules: PasswordRules
    add_user: AddUser

    async def __call__(self, *, email: str, password: str, full_name: str | None, is_admin: bool) -> UserId:
        address = check_new_user(self.rules, email=email, password=password, full_name=full_name)
        hashed = await self.hasher.hash(password)
        new = NewUser(address, full_name, hashed, status=UserStatus.ACTIVE, is_verified=True)
        async with self.db.begin() as tx:
            user_id = await self.add_user(tx, new)
            await trail.record(tx, Event(EventName.USER_CREATED, subject_id=user_id))
            for role in (USER, ADMIN) if is_admin else (USER,):
                await roles.grant(tx, user_id, role)
                await trail.record(
                    tx, Event(EventName.ROLE_GRANTED, subject_id=user_id, detail={"role": role})
                )
        return user_id
