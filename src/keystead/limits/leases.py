"""Leases: tokens that a worker has taken ahead, so that most requests cost no round trip."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import ceil
from time import monotonic
from typing import TypeAlias

from keystead.limits.buckets import Spent
from keystead.limits.types import Rule, Standing

MAX_LEASES = 50_000
SHARE = 0.02  # of the bucket in one batch, at most: what a worker may hold unused, and others be refused too early
KEPT = 1.0  # seconds; what was not used by then is forfeited, which is the stricter side

Take: TypeAlias = Callable[[Rule, str, int], Awaitable[Spent]]
Key: TypeAlias = tuple[str, str]


@dataclass(slots=True)
class _Lease:
    size: int
    tokens: int
    since: float
    until: float  # when what is left is forfeited, or, with no tokens, when it is worth asking again
    standing: Standing

    def told(self) -> Standing:
        """What is left is what the shared bucket had then, and what is still held of it."""
        then = self.standing
        return Standing(then.rule, then.remaining + self.tokens, then.next_in, then.full_in)

    def used_while_kept(self) -> int:
        """At the rate of so far. It at most doubles from one lease to the next."""
        passed = max(monotonic() - self.since, KEPT / 2)
        return ceil((self.size - self.tokens) * KEPT / passed)


class Leases:
    """Nothing is admitted that was not taken from the shared bucket before: the limit is never overshot.

    It is undershot by what workers hold: at most SHARE of the bucket each, for KEPT seconds. A batch is what was used
    of the one before, so that whoever asks now and then does not pay for tokens that nobody uses.
    """

    def __init__(self, take: Take) -> None:
        self._take = take
        self._leases: OrderedDict[Key, _Lease] = OrderedDict()
        self._flights: dict[Key, asyncio.Future[None]] = {}

    def take_held(self, rule: Rule, subject: str, cost: int) -> Standing | None:
        """From what is held; None where the shared bucket must be asked."""
        lease = self._leases.get((rule.name, subject))
        if lease is None or lease.tokens < cost or monotonic() >= lease.until:
            return None
        lease.tokens -= cost
        return lease.told()

    def refusal(self, rule: Rule, subject: str) -> Standing | None:
        """How the bucket stands, where it was found empty a moment ago: it is not asked again before it refills."""
        lease = self._leases.get((rule.name, subject))
        if lease is None or lease.tokens > 0 or monotonic() >= lease.until or lease.standing.next_in <= 0:
            return None
        return lease.standing

    async def take(self, rule: Rule, subject: str, cost: int) -> tuple[bool, Standing]:
        """Whether `cost` were there: a batch is taken from the shared bucket, once for all who wait for it."""
        key = (rule.name, subject)
        while (flight := self._flights.get(key)) is not None:
            await asyncio.wait({flight})
            if (standing := self.take_held(rule, subject, cost)) is not None:
                return True, standing
            if (standing := self.refusal(rule, subject)) is not None:
                return False, standing
        flight = self._flights[key] = asyncio.get_running_loop().create_future()
        try:
            spent = await self._take(rule, subject, self._batch(key, rule, cost))
            return spent.is_enough, self._keep(key, spent, cost).told()
        finally:
            del self._flights[key]
            flight.set_result(None)

    def _batch(self, key: Key, rule: Rule, cost: int) -> int:
        last = self._leases.get(key)
        wanted = 0 if last is None else last.used_while_kept()
        return max(cost, min(wanted, int(rule.limit * SHARE)))

    def _keep(self, key: Key, spent: Spent, cost: int) -> _Lease:
        left, kept = (
            (spent.granted - cost, KEPT) if spent.is_enough else (0, min(spent.standing.next_in, KEPT))
        )
        now = monotonic()
        self._leases.pop(key, None)
        lease = self._leases[key] = _Lease(spent.granted, left, now, now + kept, spent.standing)
        if len(self._leases) > MAX_LEASES:
            self._leases.popitem(last=False)
        return lease
