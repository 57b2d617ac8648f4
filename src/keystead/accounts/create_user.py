"""Create a user: as an administrator, as an operator, or as part of a move from another system."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from keystead.accounts.account import Account, ShowUser
from keystead.accounts.set_roles import record_role
from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.kernel.caller import Actor, AnyOf, Permission, PermissionMissing
from keystead.kernel.db import Database, Tx
from keystead.kernel.errors import Complaints, FieldError, InvalidInput
from keystead.kernel.ids import UserId, new_uuid
from keystead.roles import store as roles
from keystead.roles.types import USER
from keystead.tickets.repeats import Repeats
from keystead.tickets.types import KeyReused, Once
from keystead.users import foreign_hashes
from keystead.users.add_user import AddUser, NewUser, check_new_user
from keystead.users.email import EmailAddress, parse_email
from keystead.users.passwords import Hasher, PasswordRules
from keystead.users.profile import check_name, check_object
from keystead.users.types import NO_PASSWORD, EmailTaken, IdTaken, UserNotFound, UserStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountWanted:
    """A new password, or the hash of one from another system, or neither; `id` and times only with the latter two."""

    email: str
    password: str | None = None
    password_hash: str | None = None
    full_name: str | None = None
    preferences: Mapping[str, Any] = field(default_factory=dict)
    app_metadata: Mapping[str, Any] = field(default_factory=dict)
    roles: tuple[str, ...] = (USER,)
    id: UUID | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @property
    def is_import(self) -> bool:
        given = (self.password_hash, self.id, self.created_at, self.updated_at)
        return any(value is not None for value in given)


@dataclass(frozen=True, slots=True)
class CreateUser:
    """An active user whose address the creator vouches for.

    Raises InvalidInput, EmailTaken, IdTaken, KeyReused, PermissionMissing, Overloaded; UserNotFound where
    a repeated request comes after the user was erased.
    """

    db: Database
    hasher: Hasher
    rules: PasswordRules
    add_user: AddUser
    show_user: ShowUser
    repeats: Repeats
    requires: ClassVar = AnyOf((Permission.USERS_CREATE, Permission.USERS_IMPORT))
    refuses: ClassVar = (
        EmailTaken,
        IdTaken,
        KeyReused,
        UserNotFound,
        PermissionMissing,
        *PasswordRules.refuses,
    )

    async def __call__(self, actor: Actor, wanted: AccountWanted, *, once: Once | None = None) -> Account:
        actor.require(Permission.USERS_IMPORT if wanted.is_import else Permission.USERS_CREATE)
        new = await self._checked(wanted)
        async with self.db.begin() as tx:
            earlier = await self.repeats.claim(tx, once, str(new.id))
            if earlier is None:
                await self._add(tx, actor, new, wanted)
            return await self.show_user.read(tx, UUID(earlier) if earlier else new.id)

    async def _add(self, tx: Tx, actor: Actor, new: NewUser, wanted: AccountWanted) -> None:
        user_id = await self.add_user(tx, new)
        name = EventName.USER_IMPORTED if wanted.is_import else EventName.USER_CREATED
        await trail.record(
            tx, Event(name, actor_id=actor.user_id, subject_id=user_id, session_id=actor.credential_id)
        )
        for role in wanted.roles:
            await roles.grant(tx, user_id, role)
            await record_role(tx, actor, EventName.ROLE_GRANTED, user_id, role)

    async def _checked(self, wanted: AccountWanted) -> NewUser:
        address = await self._check(wanted)
        if wanted.password_hash is not None:
            stored = foreign_hashes.recognise(wanted.password_hash)
        elif wanted.password is not None:
            stored = await self.hasher.hash(wanted.password)
        else:
            stored = NO_PASSWORD
        return NewUser(
            email=address,
            full_name=wanted.full_name,
            password_hash=stored,
            status=UserStatus.ACTIVE,
            is_verified=True,
            id=UserId(wanted.id or new_uuid()),
            preferences=dict(wanted.preferences),
            app_metadata=dict(wanted.app_metadata),
            created_at=wanted.created_at,
            updated_at=wanted.updated_at,
        )

    async def _check(self, wanted: AccountWanted) -> EmailAddress:
        complaints = Complaints()
        if wanted.password is not None:
            with complaints.noted():
                await check_new_user(
                    self.rules, email=wanted.email, password=wanted.password, full_name=wanted.full_name
                )
        else:
            with complaints.noted():
                parse_email(wanted.email)
            with complaints.noted():
                check_name(wanted.full_name)
        with complaints.noted():
            check_object("preferences", dict(wanted.preferences))
        with complaints.noted():
            check_object("app_metadata", dict(wanted.app_metadata))
        with complaints.noted():
            if wanted.password_hash is not None:
                foreign_hashes.recognise(wanted.password_hash)
        with complaints.noted():
            _check_combination(wanted)
        complaints.raise_any()
        return parse_email(wanted.email)


def _check_combination(wanted: AccountWanted) -> None:
    if wanted.password is not None and wanted.password_hash is not None:
        message = "Give a password or the hash of one, not both."
        raise InvalidInput(FieldError("/password", "several_passwords", message))
    for name in ("created_at", "updated_at"):
        moment = getattr(wanted, name)
        if moment is not None and (moment.tzinfo is None or not 1970 <= moment.year < 9999):
            message = "Give a time with its offset (RFC 3339), from 1970 on."
            raise InvalidInput(FieldError(f"/{name}", "time_invalid", message))
