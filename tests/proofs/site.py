"""What the proofs of the rotation share: a real server, its database, and sessions to look at from both sides."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType

import asyncpg

from keystead.kernel.db import Database, PoolLimits
from keystead.kernel.secrets import Secret
from tests.proofs.gate import Gate, gate_before
from tests.proofs.wire import Wire
from tests.support.databases import Cluster, Urls
from tests.support.people import refresh
from tests.support.server import Server, serving

WINDOW = timedelta(seconds=60)
MOST_REPEATS = 20
_KEYS = {"AUTH__SIGNING_ALGORITHM": "ES256"}  # quick to sign with: no proof is about signatures

READ_FAMILY = "SELECT generation, reuse_count, ended_because FROM sessions WHERE id = $1::text::uuid"
READ_EVENTS = "SELECT id, event FROM audit_events WHERE session_id = $1::text::uuid AND id > $2 ORDER BY id"
# Ages one session instead of moving everybody's time, so that proofs run side by side and the access tokens,
# which workers judge by the clock of the machine, stay what they are.
AGE_FAMILY = """
    UPDATE sessions
       SET rotated_at = rotated_at - $2::interval, idle_expires_at = idle_expires_at - $2::interval,
           absolute_expires_at = absolute_expires_at - $2::interval
     WHERE id = $1::text::uuid
"""


@dataclass(frozen=True, slots=True)
class Family:
    """A session as the database has it."""

    generation: int
    reuse_count: int
    ended_because: str | None


@dataclass(frozen=True, slots=True)
class Site:
    """A server of one worker or several over a database of its own."""

    urls: Urls
    server: Server
    db: Database
    opened: list[Wire] = field(default_factory=list)

    def wires(self, count: int) -> list[Wire]:
        """Connections, dealt out to the workers in turn. The site closes them."""
        ports = self.server.ports
        made = [Wire(ports[number % len(ports)]) for number in range(count)]
        self.opened.extend(made)
        return made

    def close(self) -> None:
        for wire in self.opened:
            wire.close()

    async def family(self, session_id: str) -> Family:
        row = await self.db.fetch_row(READ_FAMILY, session_id)
        assert row is not None, "the session is gone"
        return Family(*row)

    async def events(self, session_id: str, *, after: int = 0) -> Counter[str]:
        rows = await self.db.fetch(READ_EVENTS, session_id, after)
        return Counter(row["event"] for row in rows)

    async def last_event(self) -> int:
        """A mark for `events`: what is recorded from now on comes after it."""
        row = await self.db.fetch_row("SELECT coalesce(max(id), 0) FROM audit_events")
        return int(row[0]) if row else 0

    async def age(self, session_id: str, by: timedelta) -> None:
        """As if `by` had passed for this session."""
        await self.db.execute(AGE_FAMILY, session_id, by)


@asynccontextmanager
async def running_site(
    cluster: Cluster, *, workers: int = 2, configured: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[Site]:
    async with _fresh(cluster) as urls, _site(urls, urls, workers, configured) as site:
        yield site


@asynccontextmanager
async def gated_site(cluster: Cluster, *, workers: int = 2) -> AsyncIterator[tuple[Site, Gate]]:
    """The workers reach PostgreSQL through a gate; we go around it."""
    async with (
        _fresh(cluster) as urls,
        gate_before(urls) as gate,
        _site(urls, gate.urls, workers, {}) as site,
    ):
        yield site, gate


@asynccontextmanager
async def _site(
    urls: Urls, urls_of_workers: Urls, workers: int, configured: Mapping[str, str]
) -> AsyncIterator[Site]:
    """What breaks in the block takes the workers' last words with it."""
    async with (
        serving(urls_of_workers, workers=workers, **{**_KEYS, **configured}) as server,
        database(urls) as db,
    ):
        site = Site(urls, server, db)
        try:
            yield site
        except Exception as error:
            error.add_note(f"The workers said: {server.logs()[-4000:]}")
            raise
        finally:
            site.close()


@asynccontextmanager
async def _fresh(cluster: Cluster) -> AsyncIterator[Urls]:
    """A database without signing keys: the first start makes one as configured, active at once."""
    async with cluster.clone() as urls:
        owner = await asyncpg.connect(urls.owner)
        try:
            await owner.execute("DELETE FROM signing_keys")
        finally:
            await owner.close()
        yield urls


@asynccontextmanager
async def database(urls: Urls) -> AsyncIterator[Database]:
    """As the runtime role, beside the server's own connections."""
    db = Database(Secret(urls.runtime), PoolLimits(max_connections=4))
    try:
        yield db
    finally:
        await db.close()


async def shows_profile(wire: Wire, access_token: str) -> bool:
    """Whether an access token works at this worker. An answer other than yes or no fails the proof."""
    answer = await wire.get("/api/v1/users/me", headers={"authorization": f"Bearer {access_token}"})
    assert answer.status_code in (200, 401), answer.text
    return answer.status_code == 200


async def require_dead(site: Site, *, access_tokens: Iterable[str], refresh_tokens: Iterable[str]) -> None:
    """No worker takes any of these."""
    for wire in site.wires(len(site.server.workers)):
        for token in access_tokens:
            assert not await shows_profile(wire, token), "an access token outlived its session"
        for token in refresh_tokens:
            answer = await refresh(wire, token)
            assert answer.status_code == 401, f"a refresh token outlived its session: {answer.text}"
        wire.close()
