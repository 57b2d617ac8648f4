"""Seeing and ending sessions: one's own devices, and an administrator's view."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

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
from keystead.kernel.db import Database, Runner, Tx
from keystead.kernel.ids import SessionId, UserId
from keystead.sessions import store
from keystead.sessions.devices import open_device
from keystead.sessions.store import EndedSession, StoredSession
from keystead.sessions.types import EndReason, SessionNotFound, SessionRecord
from keystead.vault import Cursors, DataKey, Page, PageWanted, Vault

PermissionsOf = Callable[[Runner, UUID], Awaitable[frozenset[str]]]  # what a user may do: another room knows


@dataclass(frozen=True, slots=True)
class ListSessions:
    """The live sessions of a user, the newest first. Raises SessionNotFound to a stranger, InvalidInput."""

    db: Database
    vault: Vault
    cursors: Cursors
    requires: ClassVar = OwnerOr(Permission.SESSIONS_READ)
    refuses: ClassVar = (SessionNotFound,)

    async def __call__(self, caller: Caller, user_id: UserId, wanted: PageWanted) -> Page[SessionRecord]:
        _require(caller, user_id, self.requires)
        scope = f"sessions\0{user_id}"
        before = UUID(self.cursors.open(scope, wanted.cursor)[0]) if wanted.cursor else None
        found = await store.list_live(self.db, user_id, before=before, limit=wanted.limit + 1)
        data_key = await self.vault.load_data_key(self.db, user_id)
        items = [record_of(stored, data_key) for stored in found[: wanted.limit]]
        more = len(found) > wanted.limit
        return Page(items, self.cursors.seal(scope, str(items[-1].id)) if more else None)


@dataclass(frozen=True, slots=True)
class ShowSession:
    """One live session. Raises SessionNotFound, to a stranger too."""

    db: Database
    vault: Vault
    requires: ClassVar = OwnerOr(Permission.SESSIONS_READ)
    refuses: ClassVar = (SessionNotFound,)

    async def __call__(self, caller: Caller, session_id: SessionId) -> SessionRecord:
        stored = await _load(self.db, caller, session_id, self.requires)
        return record_of(stored, await self.vault.load_data_key(self.db, stored.user_id))


@dataclass(frozen=True, slots=True)
class EndSession:
    """Ends a session: at once, on every worker. One's own current one is a logout; another one needs a fresh proof.

    Raises SessionNotFound, to a stranger too; PermissionMissing, ReauthenticationRequired.
    """

    db: Database
    permissions_of: PermissionsOf
    requires: ClassVar = OwnerOr(Permission.SESSIONS_END)
    is_sensitive: ClassVar = True
    refuses: ClassVar = (SessionNotFound, PermissionMissing, ReauthenticationRequired)

    async def __call__(self, caller: Caller, session_id: SessionId, *, of: UserId | None = None) -> None:
        """`of`: whose it must be."""
        stored = await _load(self.db, caller, session_id, self.requires)
        if of not in (None, stored.user_id):
            raise SessionNotFound
        if session_id != caller.credential_id:
            caller.require_fresh()
        async with self.db.begin() as tx:
            await _require_covering(tx, caller, stored.user_id, self.permissions_of)
            ended = await store.end(tx, session_id, _reason(caller, stored.user_id))
            if ended is None:
                raise SessionNotFound
            await record_end(tx, ended, _reason(caller, stored.user_id), actor_id=caller.user_id)


@dataclass(frozen=True, slots=True)
class EndSessionsOfUser:
    """Ends every session of a user, as an administrator. How many there were.

    Raises PermissionMissing, ReauthenticationRequired.
    """

    db: Database
    permissions_of: PermissionsOf
    requires: ClassVar = Permission.SESSIONS_END
    is_sensitive: ClassVar = True
    refuses: ClassVar = (PermissionMissing, ReauthenticationRequired)

    async def __call__(self, caller: Caller, user_id: UserId) -> int:
        caller.require(self.requires)
        caller.require_fresh()
        async with self.db.begin() as tx:
            await _require_covering(tx, caller, user_id, self.permissions_of)
            return await end_all(tx, caller, user_id, _reason(caller, user_id))


async def end_all(
    tx: Tx, actor: Actor, user_id: UUID, because: EndReason, *, but: SessionId | None = None
) -> int:
    """End and record every session of a user in the caller's transaction; how many."""
    ended = await store.end_all_of_user(tx, user_id, because, but=but)
    for each in ended:
        await record_end(tx, each, because, actor_id=actor.user_id)
    return len(ended)


async def end_issued(tx: Tx, actor: Actor, user_id: UUID, because: EndReason) -> None:
    """As `end_all`, of the sessions that somebody else started in the user's name."""
    for each in await store.end_issued_of_user(tx, user_id, because):
        await record_end(tx, each, because, actor_id=actor.user_id)


async def record_end(tx: Tx, ended: EndedSession, because: EndReason, *, actor_id: UserId | None) -> None:
    await trail.record(
        tx,
        Event(
            EventName.SESSION_ENDED,
            actor_id=actor_id,
            subject_id=ended.user_id,
            session_id=ended.id,
            detail={"because": because.value},
        ),
    )


def record_of(stored: StoredSession, data_key: DataKey | None) -> SessionRecord:
    return SessionRecord(
        id=stored.id,
        user_id=stored.user_id,
        client_id=stored.client_id,
        device=None if data_key is None else open_device(data_key, stored.device_sealed),
        amr=tuple(stored.amr),
        auth_time=stored.auth_time,
        actor_id=stored.actor_id,
        created_at=stored.created_at,
        last_seen_at=stored.last_seen_at,
        expires_at=stored.expires_at,
    )


async def _load(db: Database, caller: Caller, session_id: SessionId, requirement: OwnerOr) -> StoredSession:
    """The statement looks for the caller's own, so that a stranger's and none at all look and last alike."""
    of = None if caller.may(requirement.permission) else caller.user_id
    stored = await store.find_live(db, session_id, of=of)
    if stored is None or (of is not None and not caller.owns(of)):
        raise SessionNotFound
    return stored


def _require(caller: Caller, owner: UserId, requirement: OwnerOr) -> None:
    if not caller.owns(owner) and not caller.may(requirement.permission):
        raise SessionNotFound


async def _require_covering(tx: Tx, caller: Caller, owner: UserId, permissions_of: PermissionsOf) -> None:
    if caller.user_id != owner:
        caller.require_covering(await permissions_of(tx, owner))


def _reason(caller: Caller, owner: UserId) -> EndReason:
    return EndReason.ENDED_BY_OWNER if caller.user_id == owner else EndReason.ENDED_BY_ADMINISTRATOR
