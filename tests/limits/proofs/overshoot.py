"""Overshoot: of five hundred who spend from one bucket at once, over both workers, no more are let in than it has."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from tests.limits.proofs.stage import LOGIN, Finding, Stage
from tests.proofs.wire import Wire
from tests.support.people import new_email

MOST = 1.05
_SILENCE = 3.0  # seconds without any answer, after which those who still have none were let in

# Rules of this proof, beside those as delivered, on routes that cost next to nothing: so that five hundred at once are.
LIMIT, WINDOW = 100, 600.0
SETTINGS = MappingProxyType(
    {
        **{
            f"LIMITS__RULES__{name}__{key}": value
            for name, strategy, routes, leased in (
                ("LEASING", "bucket", "read", "true"),
                ("ADAPTING", "adaptive", "refresh", "false"),
            )
            for key, value in {
                "ROUTES": routes,
                "PER": "address",
                "LIMIT": str(LIMIT),
                "WINDOW_SECS": str(WINDOW),
                "STRATEGY": strategy,
                "LEASED": leased,
            }.items()
        },
    }
)

Ask = Callable[[Wire, str], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Bucket:
    """A rule, and what spends from it: `ask` has the status of the answer."""

    name: str
    limit: int
    per_second: float  # tokens that come back
    ask: Ask
    waves: int = 2  # at once, one after the other, of which only the first finds anything


async def _mail(wire: Wire, address: str) -> int:
    return await _post(wire, "/api/v1/auth/password/forgot", address, {"email": new_email()})


async def _refresh(wire: Wire, address: str) -> int:
    headers = {"x-forwarded-for": address, "authorization": "Bearer rt_of_nobody"}
    return (await wire.post("/api/v1/auth/refresh", headers=headers)).status_code


async def _policy(wire: Wire, address: str) -> int:
    return (await wire.get("/api/v1/auth/policy", headers={"x-forwarded-for": address})).status_code


async def _post(wire: Wire, path: str, address: str, body: object) -> int:
    return (await wire.post(path, headers={"x-forwarded-for": address}, json=body)).status_code


BUCKETS = (
    Bucket("token bucket (`mails`, 120)", 120, 120 / 600, _mail),
    Bucket(f"token bucket, leased ({LIMIT})", LIMIT, LIMIT / WINDOW, _policy),
    Bucket(f"adaptive, all of it failures ({LIMIT})", LIMIT, LIMIT / WINDOW, _refresh),
)
# A quarter, and of that an equal part for each worker.
ALONE = Bucket("token bucket, Valkey killed (`mails`, 30)", 30, 30 / 600, _mail)
PLACES = 100  # of `hashing`, as delivered


async def overshoot(
    stage: Stage,
    bucket: Bucket,
    *,
    width: int,
    rounds: int,
    seed: int,
    advance: Callable[[int], None] = lambda _done: None,
) -> Finding:
    """`width` requests at once, in waves, in each round from an address with a full bucket."""
    shares = []
    for number in range(rounds):
        shares.append(await _round(stage, bucket, _address(f"{bucket.name} {seed} {number}"), width=width))
        advance(number + 1)
    return _finding(bucket.name, rounds * bucket.waves * width, bucket.limit, shares)


async def overshoot_of_places(
    stage: Stage,
    *,
    width: int,
    rounds: int,
    seed: int,
    advance: Callable[[int], None] = lambda _done: None,
) -> Finding:
    """`width` at once who are slow to send what they announced: who was let in holds their place, and has no answer."""
    shares = []
    for number in range(rounds):
        shares.append(
            await _held(stage.site.server.ports, _address(f"places {seed} {number}"), width=width) / PLACES
        )
        advance(number + 1)
    return _finding(f"concurrency (`hashing`, {PLACES})", rounds * width, PLACES, shares)


async def _round(stage: Stage, bucket: Bucket, address: str, *, width: int) -> float:
    """What was let in, as a share of what there was."""
    loop = asyncio.get_running_loop()
    wires = stage.wires(width)
    for wire in wires:
        await wire.connect()
    began = loop.time()
    allowed = 0
    for _ in range(bucket.waves):
        statuses = await asyncio.gather(*(bucket.ask(wire, address) for wire in wires))
        assert all(status < 500 for status in statuses), statuses
        allowed += sum(status != 429 for status in statuses)
    came_back = bucket.per_second * (loop.time() - began)
    for wire in wires:
        wire.close()
    return allowed / (bucket.limit + came_back)


async def _held(ports: Sequence[int], address: str, *, width: int) -> int:
    """How many of `width` got no answer."""
    asking = {asyncio.create_task(_be_refused(ports[each % len(ports)], address)) for each in range(width)}
    while True:
        done, asking = await asyncio.wait(asking, timeout=_SILENCE, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
        if not done or not asking:
            break
    for each in asking:
        each.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    return len(asking)


async def _be_refused(port: int, address: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        body = json.dumps({"email": new_email(), "password": "a wrong password"})
        lines = (f"POST {LOGIN} HTTP/1.1", "host: localhost:3000", "content-type: application/json")
        more = (f"content-length: {len(body)}", f"x-forwarded-for: {address}", "", "")
        writer.write("\r\n".join(lines + more).encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head[9:12] == b"429", head
    finally:
        writer.transport.abort()


def _finding(name: str, n: int, limit: int, shares: Sequence[float]) -> Finding:
    worst, least = max(shares), min(shares)
    assert least > 0.5, f"{name}: hardly anybody was let in, so nothing was shown: {least:.2f} of {limit}"
    figure = f"{least:.2f} to {worst:.2f} of the limit"
    return Finding(f"let in at once: {name}", n, figure, f"≤ {MOST:.2f}", worst <= MOST)


def _address(seed: str) -> str:
    """No two rounds share a bucket, nor a network."""
    chance = random.Random(seed)
    return f"{chance.randrange(20, 100)}.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(1, 255)}"
