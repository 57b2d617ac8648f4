"""Fairness: everybody in an office signs in at nine and works on, from one address, and nobody is refused."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.limits.proofs.stage import Finding, FromAddress, Stage, crowd, log_in
from tests.proofs.wire import Answer, Wire
from tests.support.people import PASSWORD

OFFICE = "203.0.113.7"
ASKS_EVERY, REFRESHES_EVERY = 60.0, 300.0  # seconds, of one person
MISTYPES = 0.05  # of the people, at first


@dataclass(frozen=True, slots=True)
class Day:
    """When people come, and until when they stay: seconds. Requests come when they are due, answered or not."""

    arriving: float
    staying: float
    ends: float
    chance: random.Random
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)

    def note(self, what: str, answer: Answer) -> Answer:
        self.answers[what, answer.status_code] += 1
        return answer


async def office(
    stage: Stage,
    *,
    people: int,
    arriving: float,
    staying: float,
    seed: int,
    advance: Callable[[float], None] = lambda _done: None,
) -> list[Finding]:
    """`people` sign in within `arriving` seconds and stay for `staying` more: each asks for themselves at once and then
    every minute, and refreshes every five minutes."""
    emails = await crowd(stage, people)
    loop = asyncio.get_running_loop()
    began = loop.time()
    day = Day(arriving, staying, began + arriving + staying, random.Random(seed))
    before = stage.total("rate_limit_exceeded_total")
    wires = stage.wires(people)
    crew = asyncio.gather(*(_work(day, wire, email) for wire, email in zip(wires, emails, strict=True)))
    while not crew.done():
        await asyncio.wait({crew}, timeout=0.5)
        advance(min(loop.time(), day.ends) - began)
    await crew
    exceeded = int(stage.total("rate_limit_exceeded_total") - before)
    signed_in = day.answers["login", 200]
    assert signed_in == people or any(status in (429, 503) for _, status in day.answers), day.answers
    return [_finding(day, people, exceeded)]


def _finding(day: Day, people: int, exceeded: int) -> Finding:
    asked = sum(day.answers.values())
    good = sum(
        count
        for (what, status), count in day.answers.items()
        if status == (401 if what == "mistyped" else 200)
    )
    kinds = Counter(what for what, _ in day.answers.elements())
    told = ", ".join(f"{count:,} {what}" for what, count in sorted(kinds.items()))
    others = Counter(status for (_, status), count in day.answers.items() for _ in range(count))
    limited = max(exceeded, others[429])
    return Finding(
        f"{people:,} people behind one address, {day.arriving:.0f} s to arrive, {day.staying:.0f} s more ({told})",
        asked,
        f"{limited} refused by limits, {asked - good - others[429]} otherwise",
        "0 and 0",
        limited == 0 and good == asked,
    )


async def _work(day: Day, wire: Wire, email: str) -> None:
    await asyncio.sleep(day.chance.uniform(0, day.arriving))
    if day.chance.random() < MISTYPES:
        day.note("mistyped", await log_in(wire, email, PASSWORD[:-1], address=OFFICE))
        wire.close()
        await asyncio.sleep(day.chance.uniform(1, 3))
    answer = day.note("login", await log_in(wire, email, PASSWORD, address=OFFICE))
    wire.close()
    if answer.status_code == 200:
        pair = answer.json()
        await asyncio.gather(
            _ask(day, FromAddress(Wire(wire.port), OFFICE), pair["access_token"]),
            _refresh(day, FromAddress(Wire(wire.port), OFFICE), pair["refresh_token"]),
        )


async def _ask(day: Day, wire: FromAddress, token: str) -> None:
    due = asyncio.get_running_loop().time()
    while due < day.ends:
        await _until(due)
        answer = await wire.get("/api/v1/users/me", headers={"authorization": f"Bearer {token}"})
        day.note("me", answer)
        wire.wire.close()
        due += ASKS_EVERY


async def _refresh(day: Day, wire: FromAddress, token: str) -> None:
    """From somewhere in their five minutes on: the rate of people who have been there for long."""
    due = asyncio.get_running_loop().time() + day.chance.uniform(0, REFRESHES_EVERY)
    while due < day.ends:
        await _until(due)
        answer = await wire.post("/api/v1/auth/refresh", headers={"authorization": f"Bearer {token}"})
        day.note("refresh", answer)
        wire.wire.close()
        if answer.status_code == 200:
            token = answer.json()["refresh_token"]
        due += REFRESHES_EVERY


async def _until(due: float) -> None:
    await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
