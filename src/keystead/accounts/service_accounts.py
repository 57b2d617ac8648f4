"""Service accounts, as administrators and operators manage them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import ClassVar
from uuid import UUID

from keystead.accounts.service_keys import keep_key, load_for_act, new_key, require_covering_roles
from keystead.applications.book import Applications
from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.kernel.caller import Actor, Permission, PermissionMissing, ReauthenticationRequired
from keystead.kernel.db import Database, Tx
from keystead.kernel.errors import Complaints, FieldError, InvalidInput
from keystead.kernel.ids import ServiceAccountId, new_uuid
from keystead.kernel.secrets import Secret
from keystead.machines import store
from keystead.machines.types import ServiceAccount, ServiceAccountNotFound, ServiceAccountTaken, ServiceKey
from keystead.roles import store as role_store
from keystead.roles.book import RoleBook
from keystead.vault import Cursors, Page, PageWanted

MAX_DESCRIPTION_LENGTH = 200
MAX_ROLES = 50
_NAME = re.compile(r"[a-z][a-z0-9_-]{1,62}", re.ASCII)
_CURSOR = "service accounts"


@dataclass(frozen=True, slots=True)
class NewAccount:
    """`client_id` is the application whose audience its tokens have; None: the default one's.

    The first key is a secret, unless there is a `public_key` (PEM).
    """

    name: str
    description: str = ""
    roles: Sequence[str] = ()
    client_id: str | None = None
    scopes: Sequence[str] | None = None
    lifetime: timedelta | None = None
    public_key: str | None = None
    algorithm: str | None = None


@dataclass(frozen=True, slots=True)
class CreatedAccount:
    """A new account with its first key. `secret` is shown this once; a public key has none."""

    account: ServiceAccount
    key: ServiceKey
    secret: Secret | None


@dataclass(frozen=True, slots=True)
class ListServiceAccounts:
    """By name. Raises InvalidInput for a cursor that is none of ours."""

    db: Database
    cursors: Cursors
    requires: ClassVar = Permission.SERVICE_ACCOUNTS_READ
    refuses: ClassVar = (InvalidInput,)

    async def __call__(self, caller: Actor, wanted: PageWanted) -> Page[ServiceAccount]:
        caller.require(self.requires)
        after = self.cursors.open(_CURSOR, wanted.cursor)[0] if wanted.cursor else ""
        found = await store.list_accounts(self.db, after=after, limit=wanted.limit + 1)
        items, more = found[: wanted.limit], len(found) > wanted.limit
        return Page(items, self.cursors.seal(_CURSOR, items[-1].name) if more else None)


@dataclass(frozen=True, slots=True)
class ShowServiceAccount:
    """Raises ServiceAccountNotFound."""

    db: Database
    requires: ClassVar = Permission.SERVICE_ACCOUNTS_READ
    refuses: ClassVar = (ServiceAccountNotFound,)

    async def __call__(self, caller: Actor, account_id: ServiceAccountId) -> ServiceAccount:
        caller.require(self.requires)
        return _found(await store.find_account(self.db, account_id))

    async def by_name(self, caller: Actor, name: str) -> ServiceAccount:
        """The same, for who knows the name only."""
        caller.require(self.requires)
        return _found(await store.find_account_by_name(self.db, name))


@dataclass(frozen=True, slots=True)
class CreateServiceAccount:
    """An account with its first key, which may do no more than its maker.

    Raises InvalidInput, ServiceAccountTaken, PermissionMissing, ReauthenticationRequired.
    """

    db: Database
    applications: Applications
    role_book: RoleBook
    requires: ClassVar = Permission.SERVICE_ACCOUNTS_WRITE
    is_sensitive: ClassVar = True
    refuses: ClassVar = (InvalidInput, ServiceAccountTaken, PermissionMissing, ReauthenticationRequired)

    async def __call__(self, caller: Actor, new: NewAccount) -> CreatedAccount:
        caller.require(self.requires)
        caller.require_fresh()
        _check(name=new.name, description=new.description, wanted=new.roles)
        account_id = ServiceAccountId(new_uuid())
        first, secret = new_key(
            account_id,
            scopes=new.scopes,
            lifetime=new.lifetime,
            public_key=new.public_key,
            algorithm=new.algorithm,
        )
        application = await self.applications.choose(new.client_id)
        async with self.db.begin() as tx:
            added = await store.add_account(
                tx,
                account_id,
                name=new.name,
                description=new.description,
                client_id=application.client_id,
            )
            if not added:
                raise ServiceAccountTaken
            await _give(tx, caller, account_id, new.roles, self.role_book)
            account = _found(await store.find_account(tx, account_id))
            await _record(tx, caller, EventName.SERVICE_ACCOUNT_ADDED, account)
            key = await keep_key(tx, caller, first)
        return CreatedAccount(account, key, secret)


@dataclass(frozen=True, slots=True)
class ChangeServiceAccount:
    """What is None stays. An account that is disabled gets no token, and those that it has count no more here.

    Raises InvalidInput, ServiceAccountNotFound, PermissionMissing, ReauthenticationRequired.
    """

    db: Database
    role_book: RoleBook
    requires: ClassVar = Permission.SERVICE_ACCOUNTS_WRITE
    is_sensitive: ClassVar = True
    refuses: ClassVar = (InvalidInput, ServiceAccountNotFound, PermissionMissing, ReauthenticationRequired)

    async def __call__(
        self,
        caller: Actor,
        account_id: ServiceAccountId,
        *,
        description: str | None = None,
        roles: Sequence[str] | None = None,
        is_disabled: bool | None = None,
    ) -> ServiceAccount:
        caller.require(self.requires)
        caller.require_fresh()
        async with self.db.begin() as tx:
            old = await load_for_act(tx, caller, account_id, self.role_book)
            wanted = replace(
                old,
                description=old.description if description is None else description,
                roles=old.roles if roles is None else list(roles),
            )
            _check(name=wanted.name, description=wanted.description, wanted=wanted.roles)
            if wanted.roles != old.roles:
                await _give(tx, caller, account_id, wanted.roles, self.role_book)
            await store.replace_account(
                tx,
                account_id,
                description=wanted.description,
                is_disabled=old.disabled_at is not None if is_disabled is None else is_disabled,
            )
            changed = _found(await store.find_account(tx, account_id))
            await _record(tx, caller, EventName.SERVICE_ACCOUNT_CHANGED, changed)
            return changed


@dataclass(frozen=True, slots=True)
class DeleteServiceAccount:
    """Its keys go with it. Raises ServiceAccountNotFound, PermissionMissing, ReauthenticationRequired."""

    db: Database
    role_book: RoleBook
    requires: ClassVar = Permission.SERVICE_ACCOUNTS_WRITE
    is_sensitive: ClassVar = True
    refuses: ClassVar = (ServiceAccountNotFound, PermissionMissing, ReauthenticationRequired)

    async def __call__(self, caller: Actor, account_id: ServiceAccountId) -> None:
        caller.require(self.requires)
        caller.require_fresh()
        async with self.db.begin() as tx:
            account = await load_for_act(tx, caller, account_id, self.role_book)
            await store.delete_account(tx, account_id)
            await _record(tx, caller, EventName.SERVICE_ACCOUNT_DELETED, account)


async def _give(tx: Tx, caller: Actor, account_id: UUID, wanted: Sequence[str], role_book: RoleBook) -> None:
    """Raises InvalidInput for a role that is none, PermissionMissing."""
    names = frozenset(wanted)
    if await role_store.lock_defined(tx, names) != names:
        raise InvalidInput(FieldError("/roles", "role_unknown", "There is no role of one of these names."))
    await require_covering_roles(tx, caller, wanted, role_book)
    await store.replace_roles(tx, account_id, names)


def _found(account: ServiceAccount | None) -> ServiceAccount:
    if account is None:
        raise ServiceAccountNotFound
    return account


def _check(*, name: str, description: str, wanted: Sequence[str]) -> None:
    complaints = Complaints()
    with complaints.noted():
        if not _NAME.fullmatch(name):
            message = "Use 2 to 63 lower-case letters, digits, - and _, beginning with a letter."
            raise InvalidInput(FieldError("/name", "name_invalid", message))
    with complaints.noted():
        if len(description) > MAX_DESCRIPTION_LENGTH or not (description.isprintable() or not description):
            message = f"Use at most {MAX_DESCRIPTION_LENGTH} characters that print."
            raise InvalidInput(FieldError("/description", "description_invalid", message))
    with complaints.noted():
        if len(wanted) > MAX_ROLES:
            raise InvalidInput(FieldError("/roles", "too_many", f"At most {MAX_ROLES}."))
    complaints.raise_any()


async def _record(tx: Tx, caller: Actor, event: EventName, account: ServiceAccount) -> None:
    """With what it may do from then on: machines are given roles by nothing else."""
    await trail.record(
        tx,
        Event(
            event,
            actor_id=caller.user_id,
            subject_id=account.id,
            session_id=caller.credential_id,
            detail={
                "name": account.name,
                "roles": " ".join(account.roles),
                "is_disabled": account.disabled_at is not None,
            },
        ),
    )
