"""The keys of service accounts: secrets, shown once, and public keys; several at once, so that one replaces another."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar
from uuid import UUID

from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.jwt.assertion import parse_public_key
from keystead.jwt.soundness import UnsoundKey
from keystead.jwt.types import Algorithm
from keystead.kernel.caller import Actor, Permission, PermissionMissing, ReauthenticationRequired
from keystead.kernel.db import Database, Runner, Tx
from keystead.kernel.errors import Complaints, FieldError, InvalidInput
from keystead.kernel.ids import ServiceAccountId, new_uuid
from keystead.kernel.secrets import Secret, digest
from keystead.machines import store
from keystead.machines.secret_text import SecretKind, hint_of, new_machine_secret
from keystead.machines.store import NewServiceKey
from keystead.machines.types import (
    KeyNotFound,
    ServiceAccount,
    ServiceAccountNotFound,
    ServiceKey,
    TooManyKeys,
)
from keystead.roles.book import RoleBook

DEFAULT_LIFETIME = timedelta(days=90)
MAX_LIFETIME = timedelta(days=400)
MAX_KEYS = 10


@dataclass(frozen=True, slots=True)
class AddedKey:
    """`secret` is shown this once; a public key has none."""

    key: ServiceKey
    secret: Secret | None = None


@dataclass(frozen=True, slots=True)
class ListServiceKeys:
    """The live ones, the newest first. Raises ServiceAccountNotFound."""

    db: Database
    requires: ClassVar = Permission.SERVICE_ACCOUNTS_READ
    refuses: ClassVar = (ServiceAccountNotFound,)

    async def __call__(self, caller: Actor, account_id: ServiceAccountId) -> list[ServiceKey]:
        caller.require(self.requires)
        if await store.find_account(self.db, account_id) is None:
            raise ServiceAccountNotFound
        return await store.list_service_keys(self.db, account_id)


@dataclass(frozen=True, slots=True)
class AddServiceKey:
    """One more key, for an account that may do no more than the caller.

    Raises InvalidInput, ServiceAccountNotFound, TooManyKeys, PermissionMissing, ReauthenticationRequired.
    """

    db: Database
    role_book: RoleBook
    requires: ClassVar = Permission.SERVICE_ACCOUNTS_WRITE
    is_sensitive: ClassVar = True
    refuses: ClassVar = (
        InvalidInput,
        ServiceAccountNotFound,
        TooManyKeys,
        PermissionMissing,
        ReauthenticationRequired,
    )

    async def __call__(
        self,
        caller: Actor,
        account_id: ServiceAccountId,
        *,
        scopes: Sequence[str] | None = None,
        lifetime: timedelta | None = None,
        public_key: str | None = None,
        algorithm: str | None = None,
    ) -> AddedKey:
        caller.require(self.requires)
        caller.require_fresh()
        new, secret = new_key(
            account_id, scopes=scopes, lifetime=lifetime, public_key=public_key, algorithm=algorithm
        )
        async with self.db.begin() as tx:
            await load_for_act(tx, caller, account_id, self.role_book)
            if len(await store.list_service_keys(tx, account_id)) >= MAX_KEYS:
                raise TooManyKeys
            return AddedKey(await keep_key(tx, caller, new), secret)


@dataclass(frozen=True, slots=True)
class RevokeServiceKey:
    """At once: the tokens that it got count no more here, and elsewhere until they expire.

    Raises ServiceAccountNotFound, KeyNotFound, PermissionMissing, ReauthenticationRequired.
    """

    db: Database
    role_book: RoleBook
    requires: ClassVar = Permission.SERVICE_ACCOUNTS_WRITE
    is_sensitive: ClassVar = True
    refuses: ClassVar = (ServiceAccountNotFound, KeyNotFound, PermissionMissing, ReauthenticationRequired)

    async def __call__(self, caller: Actor, account_id: ServiceAccountId, key_id: UUID) -> None:
        caller.require(self.requires)
        caller.require_fresh()
        async with self.db.begin() as tx:
            await load_for_act(tx, caller, account_id, self.role_book)
            if not await store.revoke_service_key(tx, key_id, account_id):
                raise KeyNotFound
            await _record(tx, caller, EventName.SERVICE_KEY_REVOKED, account_id, key_id)

    async def by_id(self, caller: Actor, key_id: UUID) -> None:
        """The same, for who knows the key only. Raises KeyNotFound."""
        found = await store.find_service_key(self.db, key_id)
        if found is None:
            raise KeyNotFound
        await self(caller, found.account_id, key_id)


def new_key(
    account_id: ServiceAccountId,
    *,
    scopes: Sequence[str] | None,
    lifetime: timedelta | None,
    public_key: str | None,
    algorithm: str | None,
) -> tuple[NewServiceKey, Secret | None]:
    """A key to be kept: of a public key (PEM), or else of a secret, which comes along. Raises InvalidInput."""
    complaints = Complaints()
    with complaints.noted():
        lives = _checked_lifetime(lifetime)
    with complaints.noted():
        permitted = _checked_scopes(scopes)
    with complaints.noted():
        named, pem = _parsed(public_key, algorithm)
    complaints.raise_any()
    secret = new_machine_secret(SecretKind.SERVICE_KEY) if pem is None else None
    new = NewServiceKey(
        new_uuid(),
        account_id,
        permitted,
        lives,
        digest=digest(secret.reveal()) if secret else None,
        hint=hint_of(secret) if secret else "",
        algorithm=named,
        public_key=pem,
    )
    return new, secret


async def keep_key(tx: Tx, caller: Actor, new: NewServiceKey) -> ServiceKey:
    """Store it, recorded."""
    key = await store.add_service_key(tx, new)
    await _record(tx, caller, EventName.SERVICE_KEY_ADDED, new.account_id, key.id)
    return key


async def require_covering_roles(
    db: Runner, caller: Actor, roles: Sequence[str], role_book: RoleBook
) -> None:
    """Raises PermissionMissing: nobody rises by making a machine that may do more."""
    caller.require_covering(await role_book.of_roles(db, roles))


async def load_for_act(
    tx: Tx, caller: Actor, account_id: ServiceAccountId, role_book: RoleBook
) -> ServiceAccount:
    """Locked, and one that may do no more than the caller. Raises ServiceAccountNotFound, PermissionMissing."""
    account = await store.find_account_for_update(tx, account_id)
    if account is None:
        raise ServiceAccountNotFound
    await require_covering_roles(tx, caller, account.roles, role_book)
    return account


def _checked_lifetime(lifetime: timedelta | None) -> timedelta:
    lives = DEFAULT_LIFETIME if lifetime is None else lifetime
    if not timedelta(minutes=1) <= lives <= MAX_LIFETIME:
        message = f"Use a minute to {MAX_LIFETIME.days} days."
        raise InvalidInput(FieldError("/ttl_days", "out_of_range", message))
    return lives


def _checked_scopes(scopes: Sequence[str] | None) -> list[str] | None:
    if scopes is None:
        return None
    if unknown := sorted(set(scopes) - set(Permission)):
        known = ", ".join(sorted(Permission))
        message = f"{unknown[0]!r:.80} is no permission. There are: {known}."
        raise InvalidInput(FieldError("/scopes", "scope_unknown", message))
    return sorted(set(scopes))


def _parsed(public_key: str | None, algorithm: str | None) -> tuple[str | None, str | None]:
    if algorithm is not None and algorithm not in set(Algorithm):
        message = f"Use one of {', '.join(Algorithm)}."
        raise InvalidInput(FieldError("/algorithm", "algorithm_unknown", message))
    if public_key is None:
        if algorithm is None:
            return None, None
        message = "A secret has no algorithm: leave it out, or send a public_key."
        raise InvalidInput(FieldError("/algorithm", "algorithm_unknown", message))
    try:
        chosen, pem = parse_public_key(public_key, None if algorithm is None else Algorithm(algorithm))
    except UnsoundKey as error:
        message = f"This key cannot be taken: {error}."
        raise InvalidInput(FieldError("/public_key", "public_key_invalid", message)) from None
    return chosen.value, pem


async def _record(tx: Tx, caller: Actor, event: EventName, account_id: UUID, key_id: UUID) -> None:
    await trail.record(
        tx,
        Event(
            event,
            actor_id=caller.user_id,
            subject_id=account_id,
            session_id=caller.credential_id,
            detail={"key": str(key_id)},
        ),
    )
