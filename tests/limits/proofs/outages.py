"""Outages: Valkey is killed, flushed and frozen under load, and nothing that counts is in it alone."""

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import cycle

from keystead.kernel.redis import Redis
from keystead.kernel.secrets import Secret
from tests.limits.proofs.guessing import BUDGET
from tests.limits.proofs.stage import Finding, FromAddress, Stage, crowd, log_in, newcomer, restart
from tests.proofs.wire import Answer, Wire
from tests.support.people import PASSWORD, new_email

MOST = 1.1
SPRAYER = "10.200.0.7"
SOURCES = 200  # addresses that guess at each account
GUESSERS, LEAVERS = 4, 3  # at each account; altogether
_BEARER = "authorization"
_KEPT = 500  # revoked sessions that are tried again later


@dataclass(slots=True)
class Siege:
    """What is going on, and what came of it."""

    stage: Stage
    chance: random.Random
    is_over: bool = False
    figures: Counter[str] = field(default_factory=Counter)
    reached: Counter[str] = field(default_factory=Counter)  # by account that is guessed at
    revoked: list[tuple[str, str]] = field(default_factory=list)

    async def pause(self, longest: float) -> None:
        await asyncio.sleep(self.chance.uniform(0, longest))


async def besiege(
    stage: Stage,
    *,
    seconds: float,
    every: float,
    honest: int,
    accounts: int,
    seed: int,
    advance: Callable[[float], None] = lambda _done: None,
) -> list[Finding]:
    """For `seconds`, something happens to Valkey `every` so many, while `honest` people refresh and ask for themselves,
    others leave and their tokens are tried, `accounts` are guessed at from many addresses, and one address guesses at
    all the world."""
    siege = Siege(stage, random.Random(seed))
    people = [await newcomer(stage, f"192.0.2.{number + 1}") for number in range(honest)]
    leaving, guessed_at = await crowd(stage, LEAVERS), await crowd(stage, accounts)
    before = stage.hashes()
    crew = asyncio.gather(
        *(
            _stay(siege, person.access_token, person.refresh_token, f"192.0.2.{number + 1}")
            for number, (person, _) in enumerate(people)
        ),
        *(_leave(siege, email, f"198.18.0.{number + 1}") for number, email in enumerate(leaving)),
        *(_guess(siege, email, number) for number, email in enumerate(guessed_at) for _ in range(GUESSERS)),
        _spray(siege),
    )
    try:
        await _torment(siege, seconds=seconds, every=every, has_failed=crew.done, advance=advance)
    finally:
        siege.is_over = True
        await crew
    assert all(siege.figures[name] > 0 for name in ("me 200", "refresh 200", "revoked 401", "guess 401"))
    hashed = stage.hashes() - before - siege.figures["login 200"] - siege.figures["sprayed 401"]
    return _findings(siege, hashed, accounts, seconds)


def _findings(siege: Siege, hashed: int, accounts: int, seconds: float) -> list[Finding]:
    figures = siege.figures

    def tried(what: str) -> int:
        return sum(count for name, count in figures.items() if name.startswith(f"{what} "))

    logouts = figures["me 401"] + figures["refresh 401"]
    most = max(siege.reached.values(), default=0)
    mean = hashed / accounts
    events = f"{figures['killed']} kills, {figures['flushed']} flushes, {figures['frozen']} freezes"
    spray = figures["sprayed 401"]
    return [
        Finding(
            f"tokens of ended sessions, {events}",
            tried("revoked"),
            f"{figures['revoked 200']} accepted",
            "0",
            figures["revoked 200"] == 0,
        ),
        Finding(
            f"guesses at {accounts} accounts, of which at one account reach the hash",
            tried("guess"),
            f"{most} at most, {mean:.1f} in the mean",
            f"≤ {MOST * BUDGET:.0f}",
            max(most, mean) <= MOST * BUDGET,
        ),
        Finding(
            "refreshes and `me` of honest people",
            tried("me") + tried("refresh"),
            f"{logouts} logged out",
            "0",
            logouts == 0,
        ),
        Finding(
            "the same: not answered with what was asked for",
            tried("me") + tried("refresh"),
            f"{figures['me 429'] + figures['refresh 429']} times 429, {figures['me 503'] + figures['refresh 503']} "
            "times 503",
            "told only",
            True,
        ),
        Finding(
            "guesses of one address at all the world that reach the hash",
            tried("sprayed"),
            f"{spray} ({spray / (120 + 2 * seconds):.2f} of `passwords`)",
            "told only",
            True,
        ),
    ]


async def _torment(
    siege: Siege,
    *,
    seconds: float,
    every: float,
    has_failed: Callable[[], bool],
    advance: Callable[[float], None],
) -> None:
    loop = asyncio.get_running_loop()
    began = due = loop.time()
    for act in cycle((_kill, _flush, _freeze)):
        due += every
        if due > began + seconds or has_failed():
            break
        await asyncio.sleep(max(0.0, due - every / 2 - loop.time()))  # it is well for half of the time
        await act(siege, every / 4)
        advance(loop.time() - began)
    await asyncio.sleep(max(0.0, began + seconds - loop.time()))


async def _kill(siege: Siege, away: float) -> None:
    os.kill(_pid(siege), signal.SIGKILL)
    await asyncio.sleep(away)
    await asyncio.to_thread(restart, siege.stage.valkey)
    siege.figures["killed"] += 1


async def _flush(siege: Siege, _away: float) -> None:
    redis = Redis(Secret(siege.stage.valkey.url), timeout=timedelta(seconds=5))
    try:
        await redis.call("FLUSHALL")
        await redis.call("SCRIPT", "FLUSH")
    finally:
        await redis.close()
    siege.figures["flushed"] += 1


async def _freeze(siege: Siege, away: float) -> None:
    os.kill(_pid(siege), signal.SIGSTOP)
    try:
        await asyncio.sleep(away)
    finally:
        os.kill(_pid(siege), signal.SIGCONT)
    siege.figures["frozen"] += 1


def _pid(siege: Siege) -> int:
    assert siege.stage.valkey.pid is not None
    return siege.stage.valkey.pid


async def _stay(siege: Siege, access: str, token: str, address: str) -> None:
    wires = [FromAddress(wire, address) for wire in siege.stage.wires(len(siege.stage.site.server.workers))]
    while not siege.is_over:
        answer = await siege.chance.choice(wires).get("/api/v1/users/me", headers=_bearer(access))
        siege.figures[f"me {answer.status_code}"] += 1
        await siege.pause(0.3)
        answer = await siege.chance.choice(wires).post("/api/v1/auth/refresh", headers=_bearer(token))
        siege.figures[f"refresh {answer.status_code}"] += 1
        if answer.status_code == 200:
            access, token = answer.json()["access_token"], answer.json()["refresh_token"]
        elif answer.status_code == 401:
            return
        await siege.pause(0.3)


async def _leave(siege: Siege, email: str, address: str) -> None:
    wires = [FromAddress(wire, address) for wire in siege.stage.wires(len(siege.stage.site.server.workers))]
    device = None
    while not siege.is_over:
        answer = await log_in(
            siege.chance.choice(wires).wire, email, PASSWORD, address=address, device=device
        )
        siege.figures[f"login {answer.status_code}"] += 1
        if answer.status_code == 200:
            device = answer.headers["x-device-token"]
            pair = answer.json()
            session = pair["access_token"], pair["refresh_token"]
            if await _log_out(siege, siege.chance.choice(wires), session[0]):
                siege.revoked = [*siege.revoked[-_KEPT:], session]
                await _try_again(siege, wires, session)
                await _try_again(siege, wires, siege.chance.choice(siege.revoked))
        await siege.pause(0.2)


async def _log_out(siege: Siege, wire: FromAddress, access: str) -> bool:
    answer = await wire.post("/api/v1/auth/logout", headers=_bearer(access))
    siege.figures[f"logout {answer.status_code}"] += 1
    return answer.status_code == 204


async def _try_again(siege: Siege, wires: list[FromAddress], session: tuple[str, str]) -> None:
    """Both tokens, at every worker."""
    for wire in wires:
        for answer in (
            await wire.get("/api/v1/users/me", headers=_bearer(session[0])),
            await wire.post("/api/v1/auth/refresh", headers=_bearer(session[1])),
        ):
            siege.figures[f"revoked {answer.status_code}"] += 1


async def _guess(siege: Siege, email: str, number: int) -> None:
    wires = siege.stage.wires(len(siege.stage.site.server.workers))
    while not siege.is_over:
        address = f"10.{100 + number}.{siege.chance.randrange(SOURCES)}.7"
        answer = await _wrong(siege, "guess", siege.chance.choice(wires), email, address)
        siege.reached[email] += answer.status_code == 401
        await siege.pause(0.1)


async def _spray(siege: Siege) -> None:
    wires = siege.stage.wires(len(siege.stage.site.server.workers))
    while not siege.is_over:
        await _wrong(siege, "sprayed", siege.chance.choice(wires), new_email(), SPRAYER)
        await siege.pause(0.05)


async def _wrong(siege: Siege, what: str, wire: Wire, email: str, address: str) -> Answer:
    answer = await log_in(wire, email, "a wrong password", address=address)
    siege.figures[f"{what} {answer.status_code}"] += 1
    return answer


def _bearer(token: str) -> dict[str, str]:
    return {_BEARER: f"Bearer {token}"}
