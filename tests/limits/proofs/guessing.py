"""Guessing: a botnet with a password list gets no further than the budget, and the owner signs in throughout."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.limits.proofs.stage import Finding, Stage, log_in, newcomer
from tests.proofs.wire import Answer, Wire
from tests.support.people import PASSWORD, new_email

BUDGET = 100  # `auth.max_account_attempts`, as delivered
HOME = "192.0.2.1"
AWAY = "192.0.2.77"  # where the owner's device is now

# What was asked and when differs from one answer to the next; nothing else may.
_OF_THE_REQUEST = frozenset({"request_id", "retry_after"})
_OF_THE_MOMENT = frozenset({"date", "x-request-id", "retry-after", "ratelimit", "content-length"})

COUNT_FAILED = "SELECT count(*) FROM audit_events WHERE event = 'login.failed' AND id > $1"


@dataclass(slots=True)
class Attack:
    """One account under attack: what was answered, and the kinds of answers."""

    statuses: Counter[int] = field(default_factory=Counter)
    kinds: set[tuple[object, ...]] = field(default_factory=set)
    overloaded: int = 0
    hashed: int = 0
    recorded: int = 0


@dataclass(slots=True)
class Owner:
    """Who signs in meanwhile, with a device that has done so before, from an address that has not."""

    email: str
    device: str
    statuses: Counter[int] = field(default_factory=Counter)

    async def sign_in_until(self, wire: Wire, is_over: Callable[[], bool], *, every: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not is_over() or not self.statuses:
            answer = await log_in(wire, self.email, PASSWORD, address=AWAY, device=self.device)
            self.statuses[answer.status_code] += 1
            due += every
            await asyncio.sleep(max(0.0, due - loop.time()))


async def guess(
    stage: Stage,
    *,
    guesses: int,
    addresses: int,
    connections: int,
    seed: int,
    every: float,
    advance: Callable[[int], None] = lambda _done: None,
) -> list[Finding]:
    """So many guesses from so many addresses: at an account whose owner signs in meanwhile, `every` so many seconds,
    and then at an address that nobody has."""
    person, device = await newcomer(stage, HOME)
    owner = Owner(person.email, device)
    sizes = {"guesses": guesses, "addresses": addresses, "connections": connections, "seed": seed}
    known = await _attack(stage, person.email, owner=owner, every=every, advance=advance, **sizes)
    unknown = await _attack(stage, new_email(), owner=None, every=every, advance=advance, **sizes)
    assert known.statuses[429] > 0 < unknown.statuses[429], "nobody was refused: nothing was shown"
    signed_in = owner.statuses[200]
    refused = sum(owner.statuses.values()) - signed_in
    return [
        _reached("known", guesses, known),
        _reached("unknown", guesses, unknown),
        Finding(
            "kinds of answers about an account, known and unknown",
            2 * guesses,
            f"{len(known.kinds)} and {len(unknown.kinds)}",
            "the same",
            known.kinds == unknown.kinds,
        ),
        Finding(
            "the owner's sign-ins meanwhile, of a known device",
            signed_in + refused,
            f"{refused} refused",
            "0",
            refused == 0,
        ),
    ]


async def sign_in_at_once(
    stage: Stage,
    *,
    width: int,
    rounds: int,
    seed: int,
    advance: Callable[[int], None] = lambda _done: None,
) -> list[Finding]:
    """`width` right passwords at once, for one account, from one network."""
    statuses: Counter[int] = Counter()
    wires = stage.wires(width)
    chance = random.Random(seed)
    for number in range(rounds):
        person, _ = await newcomer(stage, f"192.0.2.{number % 250 + 1}")
        chance.shuffle(wires)
        address = f"198.18.{number // 250}.{number % 250 + 1}"
        answers = await asyncio.gather(
            *(log_in(wire, person.email, PASSWORD, address=address) for wire in wires)
        )
        statuses.update(answer.status_code for answer in answers)
        advance(number + 1)
    refused = width * rounds - statuses[200]
    what = f"{width} right passwords at once"
    return [Finding(what, width * rounds, f"{refused} refused", "0", refused == 0)]


async def _attack(
    stage: Stage,
    email: str,
    *,
    guesses: int,
    addresses: int,
    connections: int,
    seed: int,
    owner: Owner | None,
    every: float,
    advance: Callable[[int], None],
) -> Attack:
    chance = random.Random(seed)
    sources = [_address(number) for number in range(addresses)]
    jobs = [sources[number % addresses] for number in range(guesses)]
    chance.shuffle(jobs)
    mark, before = await stage.site.last_event(), stage.hashes()
    attack = Attack()

    async def work(wire: Wire) -> None:
        while jobs:
            address = jobs.pop()
            answer = await _insist(wire, email, f"guess number {len(jobs)}", address, attack)
            attack.statuses[answer.status_code] += 1
            if (
                answer.json()["code"] != "rate_limited"
            ):  # by the address, before anything is known of the account
                attack.kinds.add(_kind(answer))
            advance(guesses - len(jobs))

    wires = stage.wires(connections + 1)
    for wire in wires:
        await wire.connect()
    crew = asyncio.gather(*(work(wire) for wire in wires[1:]))
    if owner is not None:
        await owner.sign_in_until(wires[0], crew.done, every=every)
    await crew
    own = sum(owner.statuses.values()) if owner else 0
    attack.hashed = stage.hashes() - before - own
    [row] = await stage.site.db.fetch(COUNT_FAILED, mark)
    attack.recorded = row[0]
    for wire in wires:
        wire.close()
    return attack


async def _insist(wire: Wire, email: str, password: str, address: str, attack: Attack) -> Answer:
    """A guess is one that was judged: an attacker who is told to come back does so."""
    while True:
        answer = await log_in(wire, email, password, address=address)
        if answer.status_code != 503:
            assert answer.status_code in (401, 429), answer.text
            return answer
        attack.overloaded += 1
        await asyncio.sleep(float(answer.headers["retry-after"]))


def _reached(whose: str, guesses: int, attack: Attack) -> Finding:
    reached = max(attack.hashed, attack.recorded, attack.statuses[401])
    return Finding(
        f"guesses at {'an address that nobody has' if whose == 'unknown' else 'one account'} that reach the hash",
        guesses,
        f"{reached}",
        f"≤ {BUDGET}",
        reached <= BUDGET,
    )


def _address(number: int) -> str:
    """Each in a network (/24) of its own."""
    return f"10.{number // 250}.{number % 250}.7"


def _kind(answer: Answer) -> tuple[object, ...]:
    body = answer.json()
    told = frozenset((name, str(value)) for name, value in body.items() if name not in _OF_THE_REQUEST)
    headers = frozenset((name, value) for name, value in answer.headers.items() if name not in _OF_THE_MOMENT)
    return answer.status_code, told, headers
