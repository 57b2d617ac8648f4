"""Model: two tabs of one session and a thief do as they please; a few lines of Python say what must come of it."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from copy import copy
from datetime import timedelta
from itertools import cycle
from typing import Any, ClassVar, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.proofs.site import MOST_REPEATS, WINDOW, Family, Site, shows_profile
from tests.proofs.wire import Answer, Lost, Wire
from tests.support.people import PASSWORD, Person, refresh, register

T = TypeVar("T")

IDLE, ABSOLUTE = timedelta(days=14), timedelta(days=30)
# No sum of these comes close to the window or to a life's end from below: real time passes too.
STEPS_OF_TIME = [timedelta(seconds=20), timedelta(seconds=80), timedelta(hours=1), timedelta(days=10)]
TABS = st.integers(0, 1)
MOMENTS = st.integers(0, 3000)
_MOST_AT_ONCE = 12


class Oracle:
    """The rules of the rotation, once more: what a session is, and the verdict on a token of any generation."""

    def __init__(self) -> None:
        self.generation = 1
        self.reuse_count = 0
        self.ended_because: str | None = None
        self.since_rotation = timedelta(0)
        self.since_start = timedelta(0)

    @property
    def family(self) -> Family:
        return Family(self.generation, self.reuse_count, self.ended_because)

    @property
    def is_alive(self) -> bool:
        return self.ended_because is None and self.since_rotation < IDLE and self.since_start < ABSOLUTE

    def can_retry(self, generation: int) -> bool:
        return generation == self.generation - 1 and self.since_rotation < WINDOW

    def judge(self, generation: int) -> int:
        """The status of a refresh, and what it changes."""
        if not self.is_alive:
            return 401
        if generation == self.generation:
            self.generation, self.reuse_count, self.since_rotation = generation + 1, 0, timedelta(0)
            return 200
        if not self.can_retry(generation):
            self.ended_because = "token_reused"
            return 401
        if self.reuse_count == MOST_REPEATS:
            return 429
        self.reuse_count += 1
        return 200

    def wait(self, by: timedelta) -> None:
        self.since_rotation += by
        self.since_start += by


class Model(RuleBasedStateMachine):
    """Tabs and thief hold generations, not tokens: `tokens` spells them, one for each, or the chain has forked."""

    site: ClassVar[Site]
    loop: ClassVar[asyncio.AbstractEventLoop]
    figures: ClassVar[Counter[str]]

    def __init__(self) -> None:
        super().__init__()
        self.wires = self.site.wires(_MOST_AT_ONCE)
        self.turns = cycle(self.wires)
        self.steps = 0
        self.dead_tokens: list[str] = []
        self._begin(self._run(register(self._wire())))

    def _begin(self, person: Person) -> None:
        self.person = person
        self.oracle = Oracle()
        self.tokens = {1: person.refresh_token}
        self.access_token = person.access_token
        self.tabs = [1, 1]
        self.loot: set[int] = set()

    @rule(tab=TABS, is_lost=st.booleans())
    def tab_refreshes(self, tab: int, is_lost: bool) -> None:
        generation = self._held_by(tab)
        may_refresh = self.oracle.is_alive and (
            generation == self.oracle.generation or self.oracle.can_retry(generation)
        )
        status = self._refresh(generation)
        assert not may_refresh or status in (200, 429), "an honest client was logged out"
        if status == 200 and not is_lost:
            self.tabs[tab] = self.oracle.generation

    @rule(tab=TABS, width=st.integers(2, _MOST_AT_ONCE))
    def tab_refreshes_many_times_at_once(self, tab: int, width: int) -> None:
        self._refresh(self._held_by(tab), width=width)

    @rule(tab=TABS)
    def thief_copies_the_token_of(self, tab: int) -> None:
        self.loot.add(self.tabs[tab])

    @precondition(lambda self: self.loot)
    @rule(data=st.data())
    def thief_refreshes(self, data: st.DataObject) -> None:
        if self._refresh(data.draw(st.sampled_from(sorted(self.loot)))) == 200:
            self.loot.add(self.oracle.generation)

    @rule(by=st.sampled_from(STEPS_OF_TIME))
    def time_passes(self, by: timedelta) -> None:
        self._run(self.site.age(self.person.session_id, by))
        self.oracle.wait(by)

    @rule(tab=TABS)
    def tab_logs_out(self, tab: int) -> None:
        bearer = {"authorization": f"Bearer {self.tokens[self.tabs[tab]]}"}
        answer = self._run(self._wire().post("/api/v1/auth/logout", headers=bearer))
        assert answer.status_code == 204, answer.text
        self.oracle.ended_because = self.oracle.ended_because or "logout"

    @precondition(lambda self: not self.oracle.is_alive)
    @rule()
    def user_signs_in_again(self) -> None:
        self.dead_tokens.append(self.tokens[self.oracle.generation])
        credentials = {"email": self.person.email, "password": PASSWORD}
        pair = self._run(self._wire().post("/api/v1/auth/login", json=credentials)).json()
        self._begin(
            Person(
                self.person.id,
                self.person.email,
                pair["access_token"],
                pair["refresh_token"],
                pair["session_id"],
            )
        )

    @precondition(lambda self: self.dead_tokens)
    @rule(data=st.data())
    def a_token_of_a_dead_session_comes(self, data: st.DataObject) -> None:
        answer = self._run(refresh(self._wire(), data.draw(st.sampled_from(self.dead_tokens))))
        assert answer.status_code == 401, "a token outlived its session"

    @invariant()
    def the_database_agrees(self) -> None:
        self.steps += 1
        assert self._run(self.site.family(self.person.session_id)) == self.oracle.family

    @invariant()
    def the_access_token_lives_as_long_as_the_session(self) -> None:
        assert self._run(shows_profile(self._wire(), self.access_token)) == self.oracle.is_alive

    def teardown(self) -> None:
        self.site.close()
        self.figures.update(trials=self.steps, histories=1, sessions=1 + len(self.dead_tokens))

    def _held_by(self, tab: int) -> int:
        """Tabs share a store. One that has slept reads it first; one that comes in time may not have noticed."""
        if not self.oracle.can_retry(self.tabs[tab]):
            self.tabs[tab] = max(self.tabs)
        return self.tabs[tab]

    def _refresh(self, generation: int, *, width: int = 1) -> int:
        """The last status of `width` posts at once, each as the oracle has it."""
        wires = [self._wire() for _ in range(width)]
        answers = self._run(_all_at_once(self.tokens[generation], wires))
        wanted = [self.oracle.judge(generation) for _ in wires]
        assert Counter(answer.status_code for answer in answers) == Counter(wanted)
        self.figures.update(f"answers {status}" for status in wanted)
        for answer in answers:
            if answer.status_code == 200:
                pair = answer.json()
                self.access_token = pair["access_token"]
                token = self.tokens.setdefault(self.oracle.generation, pair["refresh_token"])
                assert token == pair["refresh_token"], "the chain forked"
        assert len(set(self.tokens.values())) == len(self.tokens)
        return wanted[-1]

    def _wire(self) -> Wire:
        return next(self.turns)

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)


class MortalModel(Model):
    """Workers die too, in the middle of a refresh. It is then done or not done, and nothing between."""

    @initialize(tab=TABS, microseconds=MOMENTS)
    def a_worker_dies_during_the_first_refresh(self, tab: int, microseconds: int) -> None:
        self._die_during_a_refresh(tab, microseconds)

    @rule(tab=TABS, microseconds=MOMENTS)
    def a_worker_dies_during_a_refresh(self, tab: int, microseconds: int) -> None:
        self._die_during_a_refresh(tab, microseconds)

    def _die_during_a_refresh(self, tab: int, microseconds: int) -> None:
        generation = self._held_by(tab)
        not_done, done = self.oracle, copy(self.oracle)
        done.judge(generation)
        wire = self._wire()
        self._run(self._refresh_and_kill(wire, self.tokens[generation], microseconds / 1e6))
        family = self._run(self.site.family(self.person.session_id))
        assert family in (not_done.family, done.family)
        self.oracle = done if family == done.family else not_done
        if self.oracle.generation not in self.tokens:  # whoever holds the token of before can still get it
            self._refresh(generation)
        self.figures["kills"] += 1

    async def _refresh_and_kill(self, wire: Wire, token: str, seconds: float) -> None:
        worker = next(worker for worker in self.site.server.workers if worker.port == wire.port)
        asked = asyncio.create_task(refresh(wire, token))
        await asyncio.sleep(seconds)
        worker.kill9()
        await worker.start()  # first: a connection that was not accepted yet waits for it
        with suppress(Lost):
            await asked
        for other in self.wires:
            if other.port == wire.port:
                other.close()


async def _all_at_once(token: str, wires: list[Wire]) -> list[Answer]:
    return await asyncio.gather(*(refresh(wire, token) for wire in wires))


def explore(
    kind: type[Model],
    site: Site,
    loop: asyncio.AbstractEventLoop,
    *,
    histories: int,
    steps: int,
    seed: int,
) -> Counter[str]:
    """Runs `histories` random histories of at most `steps` steps against the server behind `site`.

    Shrinks what breaks a rule to the shortest history that does, and raises it.
    """
    figures: Counter[str] = Counter()
    machine = type(kind.__name__, (kind,), {"site": site, "loop": loop, "figures": figures})
    run_state_machine_as_test(
        seeded(seed)(machine),
        settings=settings(
            max_examples=histories,
            stateful_step_count=steps,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return figures
