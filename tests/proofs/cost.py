"""Cost: how long a refresh takes and how many there are in a second, while others do the same."""

import asyncio
import statistics
from collections.abc import Mapping
from time import monotonic, perf_counter

from tests.proofs.site import Site, running_site
from tests.support.databases import Cluster
from tests.support.people import refresh, register

_CONNECTIONS = 8
_SECONDS = 5.0
_KEYS = {
    "RS256-3072": {"AUTH__SIGNING_ALGORITHM": "RS256", "AUTH__RSA_BITS": "3072"},
    "RS256-2048": {"AUTH__SIGNING_ALGORITHM": "RS256", "AUTH__RSA_BITS": "2048"},
    "ES256": {"AUTH__SIGNING_ALGORITHM": "ES256"},
}


async def lines(cluster: Cluster) -> list[str]:
    """A line for each kind of signing key; two workers, the clients on the same machine, no fsync."""
    return [f"cost with {name}: {await _measure(cluster, settings)}" for name, settings in _KEYS.items()]


async def _measure(cluster: Cluster, settings: Mapping[str, str]) -> str:
    async with running_site(cluster, configured=settings) as site:
        started = monotonic()
        chains = await asyncio.gather(*(_refresh_on(site, number) for number in range(_CONNECTIONS)))
        elapsed = monotonic() - started
    times = sorted(1000 * each for chain in chains for each in chain)
    rate = len(times) / elapsed
    p50, p99 = statistics.median(times), times[len(times) * 99 // 100]
    return (
        f"{rate:,.0f}/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms ({_CONNECTIONS} connections, n = {len(times):,})"
    )


async def _refresh_on(site: Site, number: int) -> list[float]:
    wire = site.wires(_CONNECTIONS)[number]
    token = (await register(wire)).refresh_token
    times: list[float] = []
    end = monotonic() + _SECONDS
    while monotonic() < end:
        before = perf_counter()
        answer = await refresh(wire, token)
        times.append(perf_counter() - before)
        token = answer.json()["refresh_token"]
    return times
