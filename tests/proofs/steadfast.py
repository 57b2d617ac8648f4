"""Clients that register and refresh whatever happens to the service, and note what was acknowledged to them."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.proofs.site import Site
from tests.proofs.wire import Answer, Lost, Wire
from tests.support.people import PASSWORD, new_email, refresh

_MOST_TRIES = 400
_PAUSE = 0.025

READ_FAMILIES = "SELECT id::text AS id, generation, ended_because FROM sessions"
COUNT = """
    SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM data_keys) AS data_keys,
           (SELECT count(*) FROM audit_events WHERE event = 'user.registered') AS registered,
           (SELECT count(*) FROM audit_events WHERE event LIKE 'token.%') AS alarms
"""


@dataclass(frozen=True, slots=True)
class Chain:
    """What a client knows of its session: how often it refreshed, the token it holds, the one before."""

    session_id: str
    token: str
    generation: int = 1
    replaced: str = ""


@dataclass(frozen=True, slots=True)
class Totals:
    users: int
    data_keys: int
    registered: int
    alarms: int


@dataclass(slots=True)
class Ledger:
    """Everything that was acknowledged to any client, by session; and how often one had to try again."""

    before: Totals
    chains: dict[str, Chain] = field(default_factory=dict)
    figures: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Steadfast:
    """One client. It retries what got no answer or 503, at the next worker, until it is answered."""

    wires: list[Wire]
    ledger: Ledger
    chance: random.Random

    async def work_until(self, is_over: Callable[[], bool]) -> None:
        chain = await self._register()
        while not is_over():
            chain = await (self._refresh(chain) if self.chance.random() < 0.8 else self._register())
            self.ledger.figures["operations"] += 1

    async def register_and_refresh(self) -> None:
        await self._refresh(await self._register())

    async def _register(self) -> Chain:
        email = new_email()
        credentials = {"email": email, "password": PASSWORD}
        answer, tries = await self._surely(lambda wire: wire.post("/api/v1/auth/register", json=credentials))
        if answer.status_code == 409 and tries > 1:  # done, but the answer was lost: the account is ours
            answer, _ = await self._surely(lambda wire: wire.post("/api/v1/auth/login", json=credentials))
            assert answer.status_code == 200, answer.text
        else:
            assert answer.status_code == 201, answer.text
        pair = answer.json()
        self.ledger.figures["registrations"] += 1
        return self._note(Chain(pair["session_id"], pair["refresh_token"]))

    async def _refresh(self, chain: Chain) -> Chain:
        answer, tries = await self._surely(lambda wire: refresh(wire, chain.token))
        assert answer.status_code == 200, f"an honest client was logged out: {answer.text}"
        self.ledger.figures["refreshes"] += 1
        if tries > 1:
            # A statement of a worker that was killed may still be under way. The next refresh of a real client
            # comes minutes later, not at once.
            await asyncio.sleep(_PAUSE)
        token = answer.json()["refresh_token"]
        return self._note(Chain(chain.session_id, token, chain.generation + 1, chain.token))

    async def _surely(self, attempt: Callable[[Wire], Awaitable[Answer]]) -> tuple[Answer, int]:
        """The first answer that is one, and the number of the try that brought it."""
        for tries in range(1, _MOST_TRIES + 1):
            wire = self.chance.choice(self.wires)
            try:
                answer = await attempt(wire)
            except Lost:
                self.ledger.figures["answers lost"] += 1
            else:
                if answer.status_code != 503:
                    return answer, tries
                self.ledger.figures["answers 503"] += 1
            await asyncio.sleep(_PAUSE)
        raise AssertionError("the service did not come back")

    def _note(self, chain: Chain) -> Chain:
        self.ledger.chains[chain.session_id] = chain
        return chain


async def open_ledger(site: Site) -> Ledger:
    return Ledger(await _count(site))


async def keep_busy(
    site: Site, ledger: Ledger, *, clients: int, seed: int, is_over: Callable[[], bool]
) -> None:
    """`clients` register and refresh until it is over. The first that fails ends it for all."""
    workers = len(site.server.workers)
    async with asyncio.TaskGroup() as crew:
        for number in range(clients):
            client = Steadfast(site.wires(workers), ledger, random.Random(seed * 1000 + number))
            crew.create_task(client.work_until(is_over))


async def require_nothing_lost(site: Site, ledger: Ledger) -> None:
    """Everything acknowledged is there, nothing is there twice or by half, and nobody was taken for a thief."""
    rows = {row["id"]: row for row in await site.db.fetch(READ_FAMILIES)}
    for chain in ledger.chains.values():
        row = rows.get(chain.session_id)
        assert row is not None, "an acknowledged session is gone"
        assert (row["generation"], row["ended_because"]) == (chain.generation, None), (chain, row)
    before, new = ledger.before, ledger.figures["registrations"]
    wanted = Totals(before.users + new, before.data_keys + new, before.registered + new, before.alarms)
    assert await _count(site) == wanted


async def _count(site: Site) -> Totals:
    [row] = await site.db.fetch(COUNT)
    return Totals(*row)
