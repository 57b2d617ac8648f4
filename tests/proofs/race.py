"""Race: many posts of one refresh token at once, over all workers, advance its chain by exactly one."""

import asyncio
import random
from collections import Counter

from tests.proofs.site import MOST_REPEATS, Family, Site
from tests.proofs.wire import Answer
from tests.support.people import refresh, register


async def race(site: Site, *, width: int, rounds: int, seed: int) -> Counter[str]:
    """`rounds` races along one chain. Each round's one successor is the next round's token, so the chain lives on."""
    chance = random.Random(seed)
    wires = site.wires(width)
    person = await register(wires[0])
    token, generation = person.refresh_token, 1
    for _ in range(rounds):
        mark = await site.last_event()
        chance.shuffle(wires)
        answers = await asyncio.gather(*(refresh(wire, token) for wire in wires))
        token = _one_successor(answers, width=width)
        generation += 1
        repeats = min(width - 1, MOST_REPEATS)
        assert await site.family(person.session_id) == Family(generation, repeats, None)
        wanted = Counter({"session.refreshed": 1, "session.refresh_repeated": repeats})
        assert await site.events(person.session_id, after=mark) == wanted
    return Counter(trials=width * rounds, races=rounds)


def _one_successor(answers: list[Answer], *, width: int) -> str:
    statuses = Counter(answer.status_code for answer in answers)
    admitted = min(width, MOST_REPEATS + 1)
    assert statuses == +Counter({200: admitted, 429: width - admitted}), statuses
    pairs = [answer.json() for answer in answers if answer.status_code == 200]
    successors = {pair["refresh_token"] for pair in pairs}
    assert len(successors) == 1, f"the chain forked: {len(successors)} successors"
    assert len({pair["access_token"] for pair in pairs}) == admitted
    return successors.pop()
