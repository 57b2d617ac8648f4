"""Database: the answer to a COMMIT is lost, or a connection dies; no chain forks, nobody is logged out."""

import asyncio
import random
from collections import Counter

import asyncpg

from tests.proofs.gate import SETTLED, Gate, Way, open_to_all
from tests.proofs.site import Site
from tests.proofs.steadfast import keep_busy, open_ledger, require_nothing_lost

# How the answers to what has just been committed end: a refresh is one statement of which one row is asked for
# (PortalSuspended), a registration is a transaction (CommandComplete).
_COMMITTED = (b"s\x00\x00\x00\x04" + SETTLED, b"COMMIT\x00" + SETTLED)
_LOST_SHARE = 0.2

TERMINATE_ONE = """
    SELECT pg_terminate_backend(pid)
      FROM pg_stat_activity
     WHERE datname = $1 AND application_name = 'keystead' AND pid <> pg_backend_pid()
     ORDER BY random()
     LIMIT 1
"""


class Thinning:
    """A guard that cuts every fifth connection after PostgreSQL has committed and before the worker hears of it."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.cut = 0

    async def __call__(self, way: Way, chunk: bytes) -> bool:
        is_done = (
            way is Way.TO_WORKER and chunk.endswith(SETTLED) and any(word in chunk for word in _COMMITTED)
        )
        if is_done and self._chance.random() < _LOST_SHARE:
            self.cut += 1
            return False
        return True


async def lose_commits(site: Site, gate: Gate, *, lost: int, clients: int, seed: int) -> Counter[str]:
    """Clients register and refresh until `lost` answers of PostgreSQL to a commit were lost."""
    ledger = await open_ledger(site)
    thinning = gate.guard = Thinning(random.Random(seed))
    await keep_busy(site, ledger, clients=clients, seed=seed, is_over=lambda: thinning.cut >= lost)
    gate.guard = open_to_all
    assert not ledger.figures["answers lost"], "no worker died"
    await require_nothing_lost(site, ledger)
    return Counter(trials=thinning.cut) + ledger.figures


async def terminate_backends(
    site: Site, superuser_url: str, *, terminated: int, clients: int, seed: int
) -> Counter[str]:
    """Clients register and refresh while PostgreSQL ends `terminated` of the workers' connections, at any moment."""
    ledger = await open_ledger(site)
    async with asyncio.TaskGroup() as both:
        terminating = both.create_task(_terminate(site, superuser_url, terminated, random.Random(seed)))
        both.create_task(keep_busy(site, ledger, clients=clients, seed=seed, is_over=terminating.done))
    assert not ledger.figures["answers lost"], "no worker died"
    await require_nothing_lost(site, ledger)
    return Counter(trials=terminated) + ledger.figures


async def _terminate(site: Site, superuser_url: str, count: int, chance: random.Random) -> None:
    name = site.urls.runtime.partition("@/")[2].partition("?")[0]
    superuser = await asyncpg.connect(superuser_url, server_settings={"application_name": "proof"})
    try:
        done = 0
        while done < count:
            await asyncio.sleep(0.02 * chance.random())
            done += bool(await superuser.fetchval(TERMINATE_ONE, name))
    finally:
        await superuser.close()
