"""Buckets in Redis, which all workers share; and buckets of this process, for when Redis is away."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from time import monotonic
from typing import cast

from keystead.kernel.redis import Redis, Script
from keystead.limits.types import Rule, Standing, Strategy

MAX_LOCAL_BUCKETS = 50_000

_SPEND = Script(files("keystead.limits").joinpath("spend.lua").read_text())
_SETTLE = Script(files("keystead.limits").joinpath("settle.lua").read_text())
_MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Tokens of one bucket: `most`, or at least `least`. `request_id` is whose place it is, under concurrency."""

    rule: Rule
    key: bytes
    most: int
    least: int
    request_id: bytes


@dataclass(frozen=True, slots=True)
class Spent:
    """What was granted of one bucket: nothing of any where one of them had too little."""

    wanted: Wanted
    granted: int
    standing: Standing

    @property
    def is_enough(self) -> bool:
        return self.granted >= self.wanted.least


class SharedBuckets:
    """In Redis, by its time. Every method raises RedisUnavailable."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def spend(self, wanted: Sequence[Wanted]) -> list[Spent]:
        """One call, whole or not at all: who is refused by one rule pays none of the others."""
        keys: list[bytes] = []
        arguments: list[str | bytes | float] = []
        for each in wanted:
            rule = each.rule
            keys.append(each.key)
            if rule.strategy is Strategy.CONCURRENCY:
                arguments += (rule.strategy.value, rule.window * _MICRO, rule.limit, each.request_id, 1)
                continue
            arguments += (rule.strategy.value, rule.interval * _MICRO, rule.limit, each.most, each.least)
        numbers = cast(list[int], await self._redis.run(_SPEND, keys, arguments))
        return [
            Spent(
                each,
                numbers[4 * i],
                Standing(
                    each.rule,
                    numbers[4 * i + 1],
                    numbers[4 * i + 2] / _MICRO,
                    numbers[4 * i + 3] / _MICRO,
                ),
            )
            for i, each in enumerate(wanted)
        ]

    async def settle(self, spent: Sequence[Spent], *, succeeded: bool | None) -> None:
        """What is given back, or remembered, now that the request is over; None where it was neither."""
        keys: list[bytes] = []
        arguments: list[str | bytes | float] = []
        for each in spent:
            rule, key = each.wanted.rule, each.wanted.key
            if rule.strategy is Strategy.CONCURRENCY:
                keys.append(key)
                arguments += ("leave", 0, each.wanted.request_id)
            elif rule.refunds and succeeded:
                keys.append(key)
                what = "return" if rule.strategy is Strategy.ADAPTIVE else "refund"
                arguments += (what, rule.interval * _MICRO, each.granted)
            elif rule.strategy is Strategy.ADAPTIVE and succeeded is False:
                keys.append(key)
                arguments += ("failure", rule.interval * _MICRO, rule.limit)
        if keys:
            await self._redis.run(_SETTLE, keys, arguments)


class LocalBuckets:
    """In this process, each with `share` of its rule's tokens, and never fewer than one: stricter, and never open.

    What this process was granted by the shared buckets is noted: who has had their share is not let in again when those
    are away. Adaptive rules do not adapt here. The bucket that was used longest ago makes room for a new one.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._full_at: OrderedDict[bytes, float] = OrderedDict()
        self._under_way: dict[bytes, int] = {}

    def spend(self, wanted: Sequence[Wanted]) -> list[Spent]:
        now = monotonic()
        looked = [(each, *self._look(each, now)) for each in wanted]
        is_enough = all(granted >= each.least for each, granted, _ in looked)
        for each, granted, _ in looked:
            if is_enough:
                self._take(each, granted, now)
        self._make_room()
        return [Spent(each, granted, standing) for each, granted, standing in looked]

    def note(self, spent: Sequence[Spent]) -> None:
        """What was granted by the shared buckets."""
        now = monotonic()
        for each in spent:
            self._take(each.wanted, each.granted, now)
        self._make_room()

    def settle(self, spent: Sequence[Spent], *, succeeded: bool | None) -> None:
        """Of what was granted here, and of what was noted."""
        for each in spent:
            rule, key = each.wanted.rule, each.wanted.key
            if rule.strategy is Strategy.CONCURRENCY:
                left = self._under_way.get(key, 1) - 1
                if left > 0:
                    self._under_way[key] = left
                else:
                    self._under_way.pop(key, None)
            elif rule.refunds and succeeded and key in self._full_at:
                self._full_at[key] -= each.granted * self._interval(rule)

    def _look(self, each: Wanted, now: float) -> tuple[int, Standing]:
        rule = each.rule
        size = self._size(rule)
        if rule.strategy is Strategy.CONCURRENCY:
            free = max(0, size - self._under_way.get(each.key, 0))
            granted = min(1, free)
            return granted, Standing(rule, free - granted, 1.0, 1.0)
        interval = self._interval(rule)
        full_at = max(now, self._full_at.get(each.key, now))
        free = max(0, int((now + rule.window - full_at) / interval + 1e-6))
        granted = min(each.most, free)
        if granted < each.least:
            granted = 0
        left = free - granted
        taken_until = full_at + granted * interval
        next_in = max(0.0, taken_until + interval * max(1, each.least - left) - now - rule.window)
        return granted, Standing(rule, left, next_in, taken_until - now)

    def _take(self, each: Wanted, granted: int, now: float) -> None:
        if each.rule.strategy is Strategy.CONCURRENCY:
            self._under_way[each.key] = self._under_way.get(each.key, 0) + 1
            return
        full_at = max(now, self._full_at.pop(each.key, now)) + granted * self._interval(each.rule)
        self._full_at[each.key] = min(full_at, now + each.rule.window)

    def _make_room(self) -> None:
        while len(self._full_at) > MAX_LOCAL_BUCKETS:
            self._full_at.popitem(last=False)

    def _size(self, rule: Rule) -> int:
        return max(1, int(rule.limit * self._share))

    def _interval(self, rule: Rule) -> float:
        return rule.window / self._size(rule)
