"""`make bench-limits`: what a limit costs: one bucket's spend beside the bare script, and a leased token.

The two sides of a ratio take turns; figures are medians.
"""

import asyncio
import os
import platform
import statistics
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import cast

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import procfs
from keystead.kernel.redis import Redis
from keystead.kernel.secrets import Secret
from keystead.limits.buckets import SharedBuckets, Wanted
from keystead.limits.challenge.challenges import Challenges
from keystead.limits.limiter import Limiter, Permit
from keystead.limits.places import Places
from keystead.limits.types import Per, RouteClass, Rule
from keystead.vault import Vault
from keystead.vault.vault import PURPOSES
from tests.support import throwaway

ROUNDS, CALLS = 41, 500
RULE = Rule("login", frozenset({RouteClass.LOGIN}), Per.ADDRESS, limit=1_000_000, window=60)
LEASED = replace(RULE, name="me", routes=frozenset({RouteClass.READ}), leased=True)
# What one bucket cannot do without, and nothing else.
BARE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local at = math.max(now, tonumber(redis.call('GET', KEYS[1]) or now))
redis.call('SET', KEYS[1], string.format('%.0f', at + ARGV[1]), 'PX', 60000)
return 1
"""


async def main() -> None:
    with throwaway.valkey() as server:
        redis = Redis(Secret(server.url))
        vault = Vault({purpose: {1: os.urandom(32)} for purpose in PURPOSES})
        no_challenges = cast(Challenges, None)
        limiter = Limiter(
            redis, vault, [RULE, LEASED], no_challenges, Places(()), local_share=1.0, observes=False
        )
        buckets = SharedBuckets(redis)
        digest = cast(bytes, await redis.call("SCRIPT", "LOAD", BARE))

        async def bare() -> None:
            await redis.call("EVALSHA", digest, 1, b"bare", 60)

        async def spend() -> None:
            await buckets.spend([Wanted(RULE, b"spend", 1, 1, b"")])

        async def admit(route: RouteClass) -> None:
            await limiter.admit(Permit(route, "203.0.113.7"))

        sides: dict[str, Callable[[], Awaitable[None]]] = {
            "bare script": bare,
            "spend": spend,
            "admit": lambda: admit(RouteClass.LOGIN),
            "leased": lambda: admit(RouteClass.READ),
        }
        for work in sides.values():
            await seconds(work)
        rounds = [{name: await seconds(work) for name, work in sides.items()} for _ in range(ROUNDS)]
        await redis.close()
    load = os.getloadavg()[0]
    print(
        f"{procfs.processor()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {load:.1f}"
    )
    for name in sides:
        median = statistics.median(each[name] for each in rounds) / CALLS
        ratio = statistics.median(each[name] / each["bare script"] for each in rounds)
        print(f"{name:12} {median * 1e6:8.1f} µs   {ratio:5.2f} of the bare script")


async def seconds(work: Callable[[], Awaitable[None]]) -> float:
    started = perf_counter()
    for _ in range(CALLS):
        await work()
    return perf_counter() - started


if __name__ == "__main__":
    asyncio.run(main())
