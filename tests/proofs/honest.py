"""Honest clients: they lose answers, retry, and share a session between tabs, and are never logged out for it."""

import asyncio
import random
from collections import Counter
from datetime import timedelta

from tests.proofs.site import WINDOW, Family, Site
from tests.proofs.wire import Answer, Wire
from tests.support.people import refresh, register

_MOST_LOST_IN_A_ROW = 5
# Real time passes too, while a test runs: a retry that starts this early is inside the window when it arrives.
_LATEST_RETRY = WINDOW - timedelta(seconds=20)


async def lose_answers(site: Site, *, lost: int, clients: int, seed: int) -> Counter[str]:
    """Clients that lose every second answer and retry within the window, until `lost` answers were lost in all."""
    quota = -(-lost // clients)
    async with asyncio.TaskGroup() as crew:
        working = [
            crew.create_task(_forgetful_client(site, lost=quota, seed=seed * 1000 + number))
            for number in range(clients)
        ]
    return sum((task.result() for task in working), Counter())


async def _forgetful_client(site: Site, *, lost: int, seed: int) -> Counter[str]:
    chance = random.Random(seed)
    wires = site.wires(_MOST_LOST_IN_A_ROW + 1)
    person = await register(wires[0])
    token, generation = person.refresh_token, 1
    figures: Counter[str] = Counter()
    while figures["trials"] < lost:
        chance.shuffle(wires)
        losses = _losses(chance)
        answers = await _refresh_with_losses(site, person.session_id, token, wires[: losses + 1], chance)
        token = _same_successor(answers)
        generation += 1
        figures += Counter(trials=losses, refreshes=1)
    family = await site.family(person.session_id)
    assert (family.generation, family.ended_because) == (generation, None), family
    _require_no_alarm(await site.events(person.session_id))
    return figures


def _losses(chance: random.Random) -> int:
    """How many answers are lost before one arrives: each with probability one half."""
    lost = 0
    while lost < _MOST_LOST_IN_A_ROW and chance.random() < 0.5:
        lost += 1
    return lost


async def _refresh_with_losses(
    site: Site, session_id: str, token: str, wires: list[Wire], chance: random.Random
) -> list[Answer]:
    """Every answer of a refresh that was tried once on each wire: all are lost on the client but the last.

    Some are lost after they came, so after COMMIT; some are given up, and overtaken by the retry.
    """
    answers: list[asyncio.Task[Answer]] = []
    for wire in wires:
        answers.append(asyncio.create_task(refresh(wire, token)))
        if chance.random() < 0.5:
            await answers[-1]
            await site.age(session_id, _LATEST_RETRY / len(wires) * chance.random())
        else:
            await asyncio.sleep(chance.random() * 0.002)
    return list(await asyncio.gather(*answers))


def _same_successor(answers: list[Answer]) -> str:
    assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
    successors = {answer.json()["refresh_token"] for answer in answers}
    assert len(successors) == 1, "a retry got another successor"
    return str(successors.pop())


async def late_tabs(site: Site, *, rounds: int, seed: int) -> Counter[str]:
    """Two tabs of one session: one refreshes, the other comes with the token of before, within the window."""
    chance = random.Random(seed)
    tabs = site.wires(2)
    person = await register(tabs[0])
    token = person.refresh_token
    for number in range(rounds):
        chance.shuffle(tabs)
        first = await refresh(tabs[0], token)
        await site.age(person.session_id, _LATEST_RETRY * chance.random())
        late = await refresh(tabs[1], token)
        token = _same_successor([first, late])
        assert await site.family(person.session_id) == Family(number + 2, 1, None)
    _require_no_alarm(await site.events(person.session_id))
    return Counter(trials=rounds)


def _require_no_alarm(events: Counter[str]) -> None:
    ours = {"session.started", "session.refreshed", "session.refresh_repeated"}
    assert events.keys() <= ours, f"an honest client raised an alarm: {events}"
