"""Crash: workers are killed under load and between any two steps; nothing acknowledged is lost by that."""

import asyncio
import random
from collections import Counter
from datetime import timedelta
from itertools import islice

from tests.proofs.gate import Gate, Way, open_to_all
from tests.proofs.site import WINDOW, Site, require_dead
from tests.proofs.steadfast import Ledger, Steadfast, keep_busy, open_ledger, require_nothing_lost
from tests.support.people import refresh
from tests.support.server import Worker

_MOST_REPLAYS = 20


async def kill_under_load(
    site: Site, *, kills: int, operations: int, clients: int, seed: int
) -> Counter[str]:
    """Kills one worker or all of them, `kills` times, while clients register and refresh `operations` times or more."""
    ledger = await open_ledger(site)
    figures = ledger.figures
    async with asyncio.TaskGroup() as both:
        killing = both.create_task(_kill(site, kills, random.Random(seed)))
        busy = keep_busy(
            site,
            ledger,
            clients=clients,
            seed=seed,
            is_over=lambda: killing.done() and figures["operations"] >= operations,
        )
        both.create_task(busy)
    assert not figures["answers 503"], "the database was there all the time"
    await require_nothing_lost(site, ledger)
    await _require_memory_of_replaced_tokens(site, ledger)
    return Counter(trials=kills) + figures


async def _kill(site: Site, kills: int, chance: random.Random) -> None:
    workers = site.server.workers
    for _ in range(kills):
        await asyncio.sleep(0.1 + 0.2 * chance.random())
        struck = workers if chance.random() < 0.2 else [chance.choice(workers)]
        for worker in struck:
            worker.kill9()
        await asyncio.gather(*(worker.start() for worker in struck))


async def _require_memory_of_replaced_tokens(site: Site, ledger: Ledger) -> None:
    """CVE class 21: what was replaced before the workers died is still known for it (the window being over)."""
    wire, *_ = site.wires(1)
    for chain in islice((chain for chain in ledger.chains.values() if chain.replaced), _MOST_REPLAYS):
        await site.age(chain.session_id, WINDOW + timedelta(seconds=1))
        assert (await refresh(wire, chain.replaced)).status_code == 401
        assert (await site.family(chain.session_id)).ended_because == "token_reused"
        await require_dead(site, access_tokens=[], refresh_tokens=[chain.token])


async def kill_between_steps(site: Site, gate: Gate, *, points: int | None, seed: int) -> Counter[str]:
    """A worker registers somebody and refreshes once, and dies before one of the messages to or from PostgreSQL.

    Each of them in turn, or `points` of them: so also after COMMIT and before its answer. Retries then go through.
    """
    ledger = await open_ledger(site)
    worker = site.server.workers[0]
    client = Steadfast(site.wires(1), ledger, random.Random(seed))
    kills = 0
    for steps in await _choose_steps(client, gate, points):
        await client.register_and_refresh()  # so that every statement has been prepared
        halt = gate.guard = Halt(steps)
        async with asyncio.TaskGroup() as both:
            working = both.create_task(client.register_and_refresh())
            both.create_task(_kill_when_halted(worker, gate, halt, working))
        kills += halt.reached.is_set()
        await require_nothing_lost(site, ledger)
    return Counter(trials=kills) + ledger.figures


async def _choose_steps(client: Steadfast, gate: Gate, points: int | None) -> list[int]:
    await client.register_and_refresh()
    whole = gate.guard = Halt(None)
    await client.register_and_refresh()
    every = range(whole.passed)
    return list(every) if points is None else client.chance.sample(every, points)


async def _kill_when_halted(worker: Worker, gate: Gate, halt: "Halt", working: "asyncio.Task[None]") -> None:
    reached = asyncio.create_task(halt.reached.wait())
    await asyncio.wait({working, reached}, return_when=asyncio.FIRST_COMPLETED)
    reached.cancel()
    gate.guard = open_to_all
    if (
        halt.reached.is_set()
    ):  # else it had less to say than before: now and then it does some reading of its own
        worker.kill9()
        halt.cut.set()
        await worker.start()


class Halt:
    """A guard that lets `steps` messages pass and then holds everything, until it cuts."""

    def __init__(self, steps: int | None) -> None:
        self._steps = steps
        self.passed = 0
        self.reached = asyncio.Event()
        self.cut = asyncio.Event()

    async def __call__(self, _way: Way, _chunk: bytes) -> bool:
        if self.passed == self._steps:
            self.reached.set()
            await self.cut.wait()
            return False
        self.passed += 1
        return True
