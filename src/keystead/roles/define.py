"""Defining roles: what there is, and what it permits."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.kernel.caller import Caller, Permission, PermissionMissing, ReauthenticationRequired
from keystead.kernel.db import Database, Tx
from keystead.kernel.errors import Complaints, FieldError, InvalidInput
from keystead.roles import store
from keystead.roles.store import StoredRole
from keystead.roles.types import BUILT_IN, Role, RoleBuiltIn, RoleNotFound, RoleTaken
from keystead.tickets.repeats import Repeats
from keystead.tickets.types import KeyReused, Once

MAX_DESCRIPTION_LENGTH = 200
_NAME = re.compile(r"[a-z][a-z0-9_-]{1,62}", re.ASCII)


@dataclass(frozen=True, slots=True)
class ListRoles:
    """Every role, by name."""

    db: Database
    requires: ClassVar = Permission.ROLES_READ

    async def __call__(self, caller: Caller) -> list[Role]:
        caller.require(self.requires)
        return [_role(stored) for stored in await store.list_all(self.db)]


@dataclass(frozen=True, slots=True)
class ShowRole:
    """Raises RoleNotFound."""

    db: Database
    requires: ClassVar = Permission.ROLES_READ
    refuses: ClassVar = (RoleNotFound,)

    async def __call__(self, caller: Caller, name: str) -> Role:
        caller.require(self.requires)
        return await _load(self.db, name)


@dataclass(frozen=True, slots=True)
class AddRole:
    """A role that permits no more than its maker may do.

    Raises InvalidInput, RoleTaken, KeyReused, PermissionMissing, ReauthenticationRequired.
    """

    db: Database
    repeats: Repeats
    requires: ClassVar = Permission.ROLES_WRITE
    is_sensitive: ClassVar = True
    refuses: ClassVar = (InvalidInput, RoleTaken, KeyReused, PermissionMissing, ReauthenticationRequired)

    async def __call__(
        self,
        caller: Caller,
        *,
        name: str,
        description: str,
        permissions: Iterable[str],
        once: Once | None = None,
    ) -> Role:
        caller.require(self.requires)
        caller.require_fresh()
        wanted = frozenset(permissions)
        _check(name=name, description=description, permissions=wanted)
        caller.require_covering(wanted)
        async with self.db.begin() as tx:
            if await self.repeats.claim(tx, once, name) is not None:
                return await _load(tx, name)
            if not await store.add(tx, name, description=description, permissions=wanted):
                raise RoleTaken
            await _changed(tx, caller, EventName.ROLE_ADDED, name)
            return await _load(tx, name)


@dataclass(frozen=True, slots=True)
class ReplaceRole:
    """What a role permits from the next request on.

    Raises InvalidInput, RoleNotFound, RoleBuiltIn, PermissionMissing, ReauthenticationRequired.
    """

    db: Database
    requires: ClassVar = Permission.ROLES_WRITE
    is_sensitive: ClassVar = True
    refuses: ClassVar = (InvalidInput, RoleNotFound, RoleBuiltIn, PermissionMissing, ReauthenticationRequired)

    async def __call__(
        self, caller: Caller, name: str, *, description: str | None, permissions: Iterable[str] | None
    ) -> Role:
        caller.require(self.requires)
        caller.require_fresh()
        async with self.db.begin() as tx:
            old = await _load_locked(tx, name)
            described = old.description if description is None else description
            wanted = frozenset(old.permissions if permissions is None else permissions)
            _check(name=name, description=described, permissions=wanted)
            caller.require_covering(wanted | set(old.permissions))
            if not await store.replace(tx, name, description=described, permissions=wanted):
                raise RoleBuiltIn
            await _changed(tx, caller, EventName.ROLE_CHANGED, name)
            return await _load(tx, name)


@dataclass(frozen=True, slots=True)
class DeleteRole:
    """Whoever held it holds it no more. Raises RoleNotFound, RoleBuiltIn, PermissionMissing."""

    db: Database
    requires: ClassVar = Permission.ROLES_WRITE
    is_sensitive: ClassVar = True
    refuses: ClassVar = (RoleNotFound, RoleBuiltIn, PermissionMissing, ReauthenticationRequired)

    async def __call__(self, caller: Caller, name: str) -> None:
        caller.require(self.requires)
        caller.require_fresh()
        async with self.db.begin() as tx:
            caller.require_covering((await _load_locked(tx, name)).permissions)
            if not await store.delete(tx, name):
                raise RoleBuiltIn
            await _changed(tx, caller, EventName.ROLE_DELETED, name)


async def _load(db: Database | Tx, name: str) -> Role:
    stored = await store.find(db, name)
    if stored is None:
        raise RoleNotFound
    return _role(stored)


async def _load_locked(tx: Tx, name: str) -> Role:
    """As it is, and stays until the transaction ends: what is compared is what is replaced."""
    await store.lock(tx, name)
    return await _load(tx, name)


async def _changed(tx: Tx, caller: Caller, event: EventName, name: str) -> None:
    await store.advance_version(tx)
    await trail.record(
        tx, Event(event, actor_id=caller.user_id, session_id=caller.credential_id, detail={"role": name})
    )


def _role(stored: StoredRole) -> Role:
    permits = BUILT_IN[stored.name] if stored.is_built_in else stored.permissions
    return Role(
        stored.name,
        stored.description,
        tuple(sorted(permits)),
        stored.is_built_in,
        stored.created_at,
        stored.updated_at,
    )


def _check(*, name: str, description: str, permissions: frozenset[str]) -> None:
    complaints = Complaints()
    with complaints.noted():
        if not _NAME.fullmatch(name):
            message = "Use 2 to 63 lower-case letters, digits, - and _, beginning with a letter."
            raise InvalidInput(FieldError("/name", "role_name_invalid", message))
    with complaints.noted():
        if len(description) > MAX_DESCRIPTION_LENGTH or not (description.isprintable() or not description):
            message = f"Use at most {MAX_DESCRIPTION_LENGTH} characters that print."
            raise InvalidInput(FieldError("/description", "description_invalid", message))
    with complaints.noted():
        if unknown := sorted(permissions - set(Permission)):
            known = ", ".join(sorted(Permission))
            message = f"{unknown[0]!r:.80} is no permission. There are: {known}."
            raise InvalidInput(FieldError("/permissions", "permission_unknown", message))
    complaints.raise_any()
