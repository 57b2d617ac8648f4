"""API keys: what a person makes for their programs. A key permits no more than its scopes, and than its owner."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar
from uuid import UUID

from keystead.accounts.account import LoadForAct, require_owner_or
from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.kernel.caller import (
    Access,
    Caller,
    NotSignedIn,
    OwnerOr,
    OwnScope,
    Permission,
    PermissionMissing,
    ReauthenticationRequired,
)
from keystead.kernel.db import Database, Tx
from keystead.kernel.errors import Complaints, FieldError, InvalidInput
from keystead.kernel.ids import UserId, new_uuid
from keystead.kernel.secrets import Secret, digest
from keystead.machines import store
from keystead.machines.secret_text import SecretKind, hint_of, new_machine_secret
from keystead.machines.store import NewApiKey
from keystead.machines.types import ApiKey, KeyNotFound, TooManyKeys
from keystead.notices import queue
from keystead.notices.types import MailKind
from keystead.sessions import store as sessions
from keystead.users import store as users
from keystead.users.types import StoredUser, UserNotFound, UserStatus
from keystead.vault import Vault

DEFAULT_LIFETIME = timedelta(days=90)
MAX_LIFETIME = timedelta(days=400)
MAX_KEYS = 25
MAX_NAME_LENGTH = 60


@dataclass(frozen=True, slots=True)
class ListApiKeys:
    """The live ones, the newest first. Raises UserNotFound, to a stranger too."""

    db: Database
    requires: ClassVar = OwnerOr(Permission.SESSIONS_READ)
    refuses: ClassVar = (UserNotFound,)

    async def __call__(self, caller: Caller, user_id: UserId) -> list[ApiKey]:
        require_owner_or(caller, user_id, self.requires.permission)
        if await users.find(self.db, user_id) is None:
            raise UserNotFound
        return await store.list_api_keys(self.db, user_id)


@dataclass(frozen=True, slots=True)
class AddApiKey:
    """The key, and its secret, which is shown this once. The owner is told by mail.

    Raises InvalidInput, TooManyKeys, PermissionMissing for a scope that the owner does not have,
    ReauthenticationRequired, NotSignedIn where the session ended meanwhile.
    """

    db: Database
    vault: Vault
    requires: ClassVar = Access.SIGNED_IN
    is_sensitive: ClassVar = True
    refuses: ClassVar = (InvalidInput, TooManyKeys, PermissionMissing, ReauthenticationRequired)

    async def __call__(
        self,
        caller: Caller,
        *,
        client_id: str,
        name: str,
        scopes: Sequence[str],
        lifetime: timedelta | None = None,
    ) -> tuple[ApiKey, Secret]:
        caller.require_session()
        caller.require_fresh()
        lives = DEFAULT_LIFETIME if lifetime is None else lifetime
        wanted = tuple(sorted(set(scopes)))
        _check(name, wanted, lives)
        caller.require_covering(scope for scope in wanted if scope not in set(OwnScope))
        secret = new_machine_secret(SecretKind.API_KEY)
        async with self.db.begin() as tx:
            owner = await _lock(tx, caller)
            if len(await store.list_api_keys(tx, caller.user_id)) >= MAX_KEYS:
                raise TooManyKeys
            key = await store.add_api_key(
                tx,
                NewApiKey(
                    id=new_uuid(),
                    user_id=caller.user_id,
                    client_id=client_id,
                    name=name,
                    digest=digest(secret.reveal()),
                    hint=hint_of(secret),
                    scopes=wanted,
                    lifetime=lives,
                ),
            )
            await _record(tx, EventName.API_KEY_ADDED, caller, caller.user_id, key.id)
            await self._tell(tx, owner, key)
        return key, secret

    async def _tell(self, tx: Tx, owner: StoredUser, key: ApiKey) -> None:
        await queue.enqueue(
            tx,
            MailKind.API_KEY_ADDED,
            client_id=key.client_id,
            user_id=owner.id,
            data_key=self.vault.open_data_key(owner.id, owner.data_key_wrapped),
            facts={"key_name": key.name, "at": key.created_at.isoformat()},
        )


@dataclass(frozen=True, slots=True)
class RevokeApiKey:
    """At once, everywhere that Keystead is asked. Raises KeyNotFound, UserNotFound to a stranger, PermissionMissing."""

    db: Database
    load_for_act: LoadForAct
    requires: ClassVar = OwnerOr(Permission.SESSIONS_END)
    refuses: ClassVar = (KeyNotFound, UserNotFound, PermissionMissing)

    async def __call__(self, caller: Caller, user_id: UserId, key_id: UUID) -> None:
        require_owner_or(caller, user_id, self.requires.permission)
        async with self.db.begin() as tx:
            await self.load_for_act(tx, caller, user_id)
            if not await store.revoke_api_key(tx, key_id, user_id):
                raise KeyNotFound
            await _record(tx, EventName.API_KEY_REVOKED, caller, user_id, key_id)


async def _lock(tx: Tx, caller: Caller) -> StoredUser:
    """The owner, so that of many at once each counts those before. What ended the session meanwhile, such as a new
    password by the mailed link, was about whoever is asking: they leave no key. Raises NotSignedIn.
    """
    try:
        owner = await users.load_for_update(tx, caller.user_id)
    except UserNotFound:
        raise NotSignedIn from None
    is_live = await sessions.find_live(tx, caller.session_id, of=caller.user_id) is not None
    if owner.status != UserStatus.ACTIVE or not is_live:
        raise NotSignedIn
    return owner


async def revoke_all(tx: Tx, user_id: UserId) -> None:
    """Whoever had the account may have made some of them."""
    for key_id in await store.revoke_api_keys_of_user(tx, user_id):
        await trail.record(
            tx,
            Event(
                EventName.API_KEY_REVOKED, actor_id=user_id, subject_id=user_id, detail={"key": str(key_id)}
            ),
        )


def _check(name: str, scopes: Sequence[str], lifetime: timedelta) -> None:
    complaints = Complaints()
    with complaints.noted():
        if not (0 < len(name.strip()) <= len(name) <= MAX_NAME_LENGTH and name.isprintable()):
            message = f"Use 1 to {MAX_NAME_LENGTH} characters that print."
            raise InvalidInput(FieldError("/name", "name_invalid", message))
    with complaints.noted():
        known = {*OwnScope, *Permission}
        if not scopes or not known.issuperset(scopes):
            names = ", ".join(sorted(known))
            raise InvalidInput(FieldError("/scopes", "scope_unknown", f"Use at least one of: {names}."))
    with complaints.noted():
        if not timedelta(minutes=1) <= lifetime <= MAX_LIFETIME:
            message = f"Use a minute to {MAX_LIFETIME.days} days."
            raise InvalidInput(FieldError("/ttl_days", "out_of_range", message))
    complaints.raise_any()


async def _record(tx: Tx, event: EventName, caller: Caller, user_id: UserId, key_id: UUID) -> None:
    await trail.record(
        tx,
        Event(
            event,
            actor_id=caller.user_id,
            subject_id=user_id,
            session_id=caller.credential_id,
            detail={"key": str(key_id)},
        ),
    )
