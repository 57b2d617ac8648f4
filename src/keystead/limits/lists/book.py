"""The lists of networks, as one process holds them."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from time import monotonic
from typing import Never

import structlog

from keystead.kernel.db import Database
from keystead.kernel.fresh_copy import FreshCopy
from keystead.limits.lists import store
from keystead.limits.lists.store import StoredNetwork
from keystead.limits.lists.table import NetworkTable
from keystead.limits.lists.types import ListedNetwork, Verdict
from keystead.limits.networks import Network, pack
from keystead.limits.places import Places

log = structlog.get_logger("networks")

REFRESH_INTERVAL = timedelta(seconds=2)


class Networks:
    """Those of the configuration, and those of the database.

    A change in the database holds at once in the process that made it, and within two seconds in the others. While the
    database is away, what was read last goes on; what was to end ends nevertheless, by the database's time.
    """

    def __init__(
        self,
        db: Database,
        configured: Iterable[ListedNetwork],
        places: Places,
        *,
        denied_countries: frozenset[str] = frozenset(),
    ) -> None:
        """Countries are ISO 3166 codes; an address that is in a list is not asked for its country."""
        self._db = db
        self.configured = tuple(configured)
        self._places = places
        self._denied_countries = denied_countries
        self._version: int | None = None
        self._read_at = datetime.min.replace(tzinfo=UTC)
        self._ahead = 0.0  # what the database's clock is ahead of this process's own
        self._stored: tuple[ListedNetwork, ...] = ()
        self._table = NetworkTable(self.configured)
        self._copy = FreshCopy("networks", self._read_all, every=REFRESH_INTERVAL)

    def judge(self, address: str) -> Verdict:
        """Never raises. What is no address (the peer of a Unix socket) is in no list."""
        packed = pack(address)
        if packed is None:
            return Verdict.NEITHER
        verdict = self._table.find(packed, monotonic() + self._ahead)
        if verdict is Verdict.NEITHER and self._is_in_denied_country(address):
            return Verdict.DENIED
        return verdict

    @property
    def entries(self) -> tuple[ListedNetwork, ...]:
        """Those that had not ended when they were last read; those of the configuration first."""
        return (*self.configured, *(each for each in self._stored if each.is_live(self._read_at)))

    def is_configured(self, network: Network) -> bool:
        return any(each.network == network for each in self.configured)

    def configured_around(self, address: str) -> list[ListedNetwork]:
        """Those of the configuration that an address is in."""
        wanted = ip_address(address)
        return [each for each in self.configured if wanted in each.network]

    async def refresh(self) -> None:
        """Raises DatabaseUnavailable, and then holds what it held before."""
        await self._copy.read_now()

    async def keep_fresh(self) -> Never:
        await self._copy.keep_fresh()

    async def _read_all(self) -> None:
        """The networks only where their version is another than before: there may be ten thousand."""
        version, now = await store.read_version(self._db)
        self._read_at, self._ahead = now, now.timestamp() - monotonic()
        if version != self._version:
            rows = await store.list_all(self._db)
            # Ten thousand take a tenth of a second, in which requests go on.
            self._stored, self._table = await asyncio.to_thread(self._lay_out, rows)
            self._version = version
            log.info("networks.read", version=version, entries=len(rows))

    def _lay_out(self, rows: list[StoredNetwork]) -> tuple[tuple[ListedNetwork, ...], NetworkTable]:
        stored = tuple(row.listed() for row in rows)
        return stored, NetworkTable((*self.configured, *stored))

    def _is_in_denied_country(self, address: str) -> bool:
        return bool(self._denied_countries) and self._places.find(address).country in self._denied_countries
