"""Defining applications over the API."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from keystead.applications import store
from keystead.applications.book import Applications
from keystead.applications.definition import read_definition
from keystead.applications.types import (
    ApplicationConfigured,
    ApplicationNotFound,
    ApplicationRecord,
    ApplicationTaken,
    TooManyApplications,
)
from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.kernel.caller import Caller, Permission, PermissionMissing, ReauthenticationRequired
from keystead.kernel.db import Database, Tx
from keystead.kernel.errors import InvalidInput
from keystead.kernel.merge_patch import merge_patch
from keystead.tickets.repeats import Repeats
from keystead.tickets.types import KeyReused, Once


@dataclass(frozen=True, slots=True)
class ListApplications:
    """Every application, by client_id."""

    applications: Applications
    requires: ClassVar = Permission.APPLICATIONS_READ

    async def __call__(self, caller: Caller) -> tuple[ApplicationRecord, ...]:
        caller.require(self.requires)
        await self.applications.refresh()
        return self.applications.records


@dataclass(frozen=True, slots=True)
class ShowApplication:
    """Raises ApplicationNotFound."""

    applications: Applications
    requires: ClassVar = Permission.APPLICATIONS_READ
    refuses: ClassVar = (ApplicationNotFound,)

    async def __call__(self, caller: Caller, client_id: str) -> ApplicationRecord:
        caller.require(self.requires)
        await self.applications.refresh()
        return _record(self.applications, client_id)


@dataclass(frozen=True, slots=True)
class AddApplication:
    """`members` are those of a Definition, as JSON has them; null is what the installation has.

    Raises InvalidInput, ApplicationTaken, ApplicationConfigured, TooManyApplications, KeyReused, and
    ApplicationNotFound where a repeated request comes after its application was deleted.

    An application says where the links of everybody's mails lead and which pages may use their cookies: whoever writes
    one could become anybody, so only who may do everything may write one (PermissionMissing).
    """

    db: Database
    applications: Applications
    repeats: Repeats
    requires: ClassVar = Permission.APPLICATIONS_WRITE
    is_sensitive: ClassVar = True
    refuses: ClassVar = (
        InvalidInput,
        ApplicationTaken,
        ApplicationConfigured,
        TooManyApplications,
        ApplicationNotFound,
        KeyReused,
        PermissionMissing,
        ReauthenticationRequired,
    )

    async def __call__(
        self, caller: Caller, client_id: str, members: Mapping[str, Any], *, once: Once | None = None
    ) -> ApplicationRecord:
        _require_everything(caller)
        if self.applications.is_configured(client_id):
            raise ApplicationConfigured
        members = merge_patch({}, members)
        read_definition(client_id, members, self.applications.defaults.lifetimes)
        async with self.db.begin() as tx:
            if await self.repeats.claim(tx, once, client_id) is None:
                if await store.is_full(tx):
                    raise TooManyApplications
                if not await store.add(tx, client_id, members):
                    raise ApplicationTaken
                await _record_change(tx, caller, EventName.APPLICATION_ADDED, client_id)
        await self.applications.refresh()
        return _record(self.applications, client_id)


@dataclass(frozen=True, slots=True)
class ChangeApplication:
    """`patch` is a merge patch (RFC 7396) of a Definition: what it names changes, the rest stays. Sessions that a
    shorter life ends, end at their next refresh.

    Raises InvalidInput, ApplicationNotFound, ApplicationConfigured, PermissionMissing, ReauthenticationRequired.
    """

    db: Database
    applications: Applications
    requires: ClassVar = Permission.APPLICATIONS_WRITE
    is_sensitive: ClassVar = True
    refuses: ClassVar = (
        InvalidInput,
        ApplicationNotFound,
        ApplicationConfigured,
        PermissionMissing,
        ReauthenticationRequired,
    )

    async def __call__(self, caller: Caller, client_id: str, patch: Mapping[str, Any]) -> ApplicationRecord:
        _require_everything(caller)
        if self.applications.is_configured(client_id):
            raise ApplicationConfigured
        async with self.db.begin() as tx:
            stored = await store.find_for_update(tx, client_id)
            if stored is None:
                raise ApplicationNotFound
            members = merge_patch(stored.members, patch)
            read_definition(client_id, members, self.applications.defaults.lifetimes)
            await store.replace(tx, client_id, members)
            await _record_change(tx, caller, EventName.APPLICATION_CHANGED, client_id)
        await self.applications.refresh()
        return _record(self.applications, client_id)


@dataclass(frozen=True, slots=True)
class DeleteApplication:
    """Its sessions and tokens count no more, and nothing else will ever bear its client_id.

    Raises ApplicationNotFound, ApplicationConfigured, PermissionMissing, ReauthenticationRequired.
    """

    db: Database
    applications: Applications
    requires: ClassVar = Permission.APPLICATIONS_WRITE
    is_sensitive: ClassVar = True
    refuses: ClassVar = (
        ApplicationNotFound,
        ApplicationConfigured,
        PermissionMissing,
        ReauthenticationRequired,
    )

    async def __call__(self, caller: Caller, client_id: str) -> None:
        _require_everything(caller)
        if self.applications.is_configured(client_id):
            raise ApplicationConfigured
        async with self.db.begin() as tx:
            if not await store.delete(tx, client_id):
                raise ApplicationNotFound
            await _record_change(tx, caller, EventName.APPLICATION_DELETED, client_id)
        await self.applications.refresh()


def _require_everything(caller: Caller) -> None:
    caller.require(Permission.APPLICATIONS_WRITE)
    caller.require_fresh()
    caller.require_covering(Permission)


def _record(applications: Applications, client_id: str) -> ApplicationRecord:
    found = next((each for each in applications.records if each.application.client_id == client_id), None)
    if found is None:
        raise ApplicationNotFound
    return found


async def _record_change(tx: Tx, caller: Caller, event: EventName, client_id: str) -> None:
    await trail.record(
        tx,
        Event(
            event, actor_id=caller.user_id, session_id=caller.credential_id, detail={"application": client_id}
        ),
    )
