"""Overshoot: of five hundred who spend from one bucket at once, over both workers, no more are let in than it has."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType

from tests.limits.proofs.stage import LOGIN, Finding, Stage, until_found
from tests.proofs.wire import Wire
from tests.support.people import new_email

MOST = 1.05
MOST_WHEN_SLOW = 1.25  # `limits.degraded_share` on top
_SPARE_ROUNDS = 10
_SILENCE = 3.0  # seconds without any answer, after which those who still have none were let in

# Rules of this proof, beside those as delivered, on routes that cost next to nothing: so that five hundred at once are.
LIMIT, WINDOW = 100, 600.0
SETTINGS = MappingProxyType(
    {
        **{
            f"LIMITS__RULES__{name}__{key}": value
            for name, strategy, routes, leased in (
                ("LEASING", "bucket", "verify", "true"),
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


async def _verify(wire: Wire, address: str) -> int:
    return (await wire.get("/verify", headers={"x-forwarded-for": address})).status_code


async def _post(wire: Wire, path: str, address: str, body: object) -> int:
    return (await wire.post(path, headers={"x-forwarded-for": address}, json=body)).status_code


BUCKETS = (
    Bucket("token bucket (`mails`, 120)", 120, 120 / 600, _mail),
    Bucket(f"token bucket, leased ({LIMIT})", LIMIT, LIMIT / WINDOW, _verify),
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
) -> list[Finding]:
    """`width` requests at once, in waves, in each round from an address with a full bucket."""
    one = partial(_round, stage, bucket, width=width)
    done = await _rounds(stage, bucket.name, rounds=rounds, seed=seed, advance=advance, one=one)
    return done.findings(bucket.name, width * bucket.waves)


async def overshoot_alone(
    stage: Stage,
    *,
    width: int,
    rounds: int,
    seed: int,
    advance: Callable[[int], None] = lambda _done: None,
) -> list[Finding]:
    """Without Valkey, which is somebody else's to kill: each worker by itself."""
    shares = []
    for number in range(rounds):
        shares.append(await _round(stage, ALONE, _address(f"{ALONE.name} {seed} {number}"), width=width))
        advance(number + 1)
    return [_finding(f"let in at once: {ALONE.name}", width * ALONE.waves, shares, most=MOST)]


async def overshoot_of_places(
    stage: Stage,
    *,
    width: int,
    rounds: int,
    seed: int,
    advance: Callable[[int], None] = lambda _done: None,
) -> list[Finding]:
    """`width` at once who are slow to send what they announced: who was let in holds their place, and has no answer."""
    one = partial(_held, stage.site.server.ports, width=width)
    done = await _rounds(stage, "places", rounds=rounds, seed=seed, advance=advance, one=one)
    return done.findings(f"concurrency (`hashing`, {PLACES})", width)


@dataclass(slots=True)
class _Rounds:
    """Shares of the limit that were let in: while Valkey answered in time, and where a worker found it too slow."""

    in_time: list[float] = field(default_factory=list)
    too_slow: list[float] = field(default_factory=list)

    def findings(self, name: str, width: int) -> list[Finding]:
        what = f"let in at once: {name}"
        found = [_finding(what, width, self.in_time, most=MOST)]
        if self.too_slow:
            found.append(_finding(f"{what}, Valkey too slow", width, self.too_slow, most=MOST_WHEN_SLOW))
        return found


async def _rounds(
    stage: Stage,
    name: str,
    *,
    rounds: int,
    seed: int,
    advance: Callable[[int], None],
    one: Callable[[str], Awaitable[float]],
) -> _Rounds:
    """What is found where the machine is too busy for Valkey to answer is another thing, and counted for itself."""
    done = _Rounds()
    for number in range(rounds + _SPARE_ROUNDS):
        before = _times_degraded(stage)
        share = await one(_address(f"{name} {seed} {number}"))
        if _times_degraded(stage) == before:
            done.in_time.append(share)
        else:
            done.too_slow.append(share)
            await until_found(stage)
        advance(len(done.in_time))
        if len(done.in_time) == rounds:
            break
    assert done.in_time, f"{name}: Valkey was too slow each time"
    return done


def _times_degraded(stage: Stage) -> int:
    return stage.site.server.logs().count("limits.degraded")


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


async def _held(ports: Sequence[int], address: str, *, width: int) -> float:
    """How many of `width` got no answer, as a share of the places."""
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
    return len(asking) / PLACES


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


def _finding(what: str, width: int, shares: Sequence[float], *, most: float) -> Finding:
    worst, least = max(shares), min(shares)
    assert worst > 0.5, f"{what}: hardly anybody was let in, so nothing was shown: {worst:.2f} of the limit"
    figure = f"{least:.2f} to {worst:.2f} of the limit"
    return Finding(what, len(shares) * width, figure, f"≤ {most:.2f}", worst <= most)


def _address(seed: str) -> str:
    """No two rounds share a bucket, nor a network."""
    chance = random.Random(seed)
    return f"{chance.randrange(20, 100)}.{chance.randrange(256)}.{chance.randrange(256)}.{chance.randrange(1, 255)}"
