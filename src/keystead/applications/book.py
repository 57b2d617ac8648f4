"""The applications there are, as one process holds them."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Never

import structlog

from keystead.applications import store
from keystead.applications.definition import Defaults, Definition, build, read_definition
from keystead.applications.store import StoredApplication
from keystead.applications.types import ApplicationRecord, Source
from keystead.kernel.application import Application
from keystead.kernel.caller import NotSignedIn
from keystead.kernel.db import Database
from keystead.kernel.errors import FieldError, InvalidInput
from keystead.kernel.fresh_copy import FreshCopy

log = structlog.get_logger("applications")

REFRESH_INTERVAL = timedelta(seconds=2)


class Applications:
    """Those of the configuration, and those of the database that do not bear their names.

    A change in the database holds at once in the process that made it, and within two seconds in the others.
    """

    def __init__(
        self,
        db: Database,
        defaults: Defaults,
        configured: Mapping[str, Definition],
        *,
        accepted: frozenset[str] = frozenset(),
    ) -> None:
        """`accepted` are audiences beside theirs."""
        self._db = db
        self._also_accepted = accepted
        self.defaults = defaults
        self._configured = {
            client_id: self._record(client_id, definition, Source.CONFIGURATION)
            for client_id, definition in configured.items()
        }
        self.accepted: frozenset[str] = frozenset()
        self._copy = FreshCopy("applications", self._read_all, every=REFRESH_INTERVAL)
        self._rows: list[StoredApplication] = []
        self._hold({})

    async def refresh(self) -> None:
        """Raises DatabaseUnavailable, and then holds what it held before."""
        await self._copy.read_now()

    async def keep_fresh(self) -> Never:
        await self._copy.keep_fresh()

    async def look_again(self) -> bool:
        """Refresh because one is unknown here; whether that was tried."""
        return await self._copy.look_again()

    @property
    def default(self) -> Application:
        """Serves whoever names none."""
        return self._records[self.defaults.client_id].application

    @property
    def records(self) -> tuple[ApplicationRecord, ...]:
        """By client_id."""
        return tuple(self._records.values())

    def find(self, client_id: str) -> Application | None:
        record = self._records.get(client_id)
        return record.application if record else None

    def is_configured(self, client_id: str) -> bool:
        return client_id in self._configured

    def of(self, client_id: str) -> Application:
        """For what is said to a person: the default one speaks for one that is gone."""
        return self.find(client_id) or self.default

    async def require(self, client_id: str) -> Application:
        """The one of a session, a token or a key. Raises NotSignedIn: with the application its credentials went."""
        found = await self._look_up(client_id)
        if found is None:
            raise NotSignedIn
        return found

    async def choose(self, client_id: str | None) -> Application:
        """The one that a request names. Raises InvalidInput."""
        if client_id is None:
            return self.default
        found = await self._look_up(client_id)
        if found is None:
            raise InvalidInput(
                FieldError("/client_id", "application_unknown", "There is no such application.")
            )
        return found

    async def _look_up(self, client_id: str) -> Application | None:
        found = self.find(client_id)
        if found is None and await self.look_again():
            found = self.find(client_id)
        return found

    async def _read_all(self) -> None:
        rows = await store.list_all(self._db)
        if rows != self._rows:
            self._hold(self._read(rows))
            self._rows = rows

    def _hold(self, stored: Mapping[str, ApplicationRecord]) -> None:
        self._records = dict(sorted({**stored, **self._configured}.items()))
        all_of_them = [record.application for record in self._records.values()]
        self.with_cookies = tuple(each for each in all_of_them if each.uses_cookies)
        self.origins = frozenset(origin for each in all_of_them for origin in each.origins)
        self.origins_with_cookies = frozenset(origin for each in self.with_cookies for origin in each.origins)
        self.maps_claims = any(each.claims.metadata or each.claims.roles for each in all_of_them)
        spans = [each.lifetimes for each in all_of_them]
        # As one statement takes them: who they are, and their reuse windows, idle and absolute times in the same order.
        self.lifetimes = (
            [each.client_id for each in all_of_them],
            ([s.reuse_window for s in spans], [s.idle for s in spans], [s.absolute for s in spans]),
        )
        accepted = self._also_accepted.union(each.audience for each in all_of_them)
        if accepted != self.accepted:  # the same object until it changes
            self.accepted = accepted

    def _read(self, rows: list[StoredApplication]) -> dict[str, ApplicationRecord]:
        """Those that can be used. What another version or another hand wrote may not be: the others go on, and the log
        says which does not."""
        records = {}
        for row in rows:
            if row.client_id in self._configured:
                continue
            try:
                definition = read_definition(row.client_id, row.members)
            except InvalidInput as fault:
                log.error("application.unusable", client_id=row.client_id, fault=fault.errors[0].message)  # noqa: TRY400
                continue
            records[row.client_id] = self._record(
                row.client_id, definition, Source.DATABASE, row.created_at, row.updated_at
            )
        return records

    def _record(
        self,
        client_id: str,
        definition: Definition,
        source: Source,
        created_at: datetime | None = None,
        updated_at: datetime | None = None,
    ) -> ApplicationRecord:
        return ApplicationRecord(
            build(client_id, definition, self.defaults),
            source,
            is_default=client_id == self.defaults.client_id,
            created_at=created_at,
            updated_at=updated_at,
        )
