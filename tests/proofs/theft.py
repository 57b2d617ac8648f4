"""Theft: what becomes of a stolen refresh token, and of the session it was stolen from."""

from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from itertools import product

from tests.proofs.site import WINDOW, Site, require_dead, shows_profile
from tests.proofs.wire import Answer, Wire
from tests.support.people import Person, refresh, register

SECOND = timedelta(seconds=1)
READ_LAST_JUDGEMENT = """
    SELECT a.event, a.at - s.rotated_at AS age
      FROM audit_events a JOIN sessions s ON s.id = a.session_id
     WHERE s.id = $1::text::uuid AND a.id > $2
     ORDER BY a.id DESC
     LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A thief comes with R(n), `age` after the victim replaced it; or after the victim has refreshed once more."""

    age: timedelta
    after_next_refresh: bool

    def __str__(self) -> str:
        return f"{self.age.total_seconds():.0f} s, {'after' if self.after_next_refresh else 'before'} the next refresh"


CASES = [
    Case(age, after)
    for age, after in product(
        (timedelta(0), WINDOW - SECOND, WINDOW + SECOND, timedelta(hours=1)), (False, True)
    )
]


async def theft(site: Site, *, case: Case, trials: int) -> Counter[str]:
    """`trials` thefts of one kind. Whatever the thief got in the window, it is found as soon as chains diverge."""
    wires = site.wires(2)
    figures: Counter[str] = Counter()
    for _ in range(trials):
        figures += await _one_theft(site, case, *wires)
    return figures


async def _one_theft(site: Site, case: Case, victim: Wire, thief: Wire) -> Counter[str]:
    person = await register(victim)
    pairs = [(await refresh(victim, person.refresh_token)).json()]
    if case.after_next_refresh:
        pairs.append((await refresh(victim, pairs[-1]["refresh_token"])).json())
    await site.age(person.session_id, case.age)
    mark = await site.last_event()
    answer = await refresh(thief, person.refresh_token)
    row = await site.db.fetch_row(READ_LAST_JUDGEMENT, person.session_id, mark)
    assert row is not None, "the replay left no trace"
    # Decided by the time that the judgement itself recorded: a slow machine may carry the last second over the edge.
    if row["age"] < WINDOW and not case.after_next_refresh:
        assert row["event"] == "session.refresh_repeated"
        await _share_until_found(site, person, pairs[-1], answer, victim, thief)
        return Counter(trials=1, shared=1)
    assert row["event"] == "token.reused"
    assert answer.status_code == 401, answer.text
    await _require_ended(site, person, pairs)
    return Counter(trials=1, detected=1)


async def _share_until_found(
    site: Site, person: Person, held: dict[str, str], stolen: Answer, victim: Wire, thief: Wire
) -> None:
    """The thief has the victim's own next token, no second one; once one of them goes on, the other is found."""
    assert stolen.status_code == 200, stolen.text
    pairs = [held, stolen.json()]
    assert pairs[1]["refresh_token"] == held["refresh_token"], "the chain forked"
    for pair in pairs:
        assert await shows_profile(victim, pair["access_token"])
    pairs.append((await refresh(thief, held["refresh_token"])).json())
    await site.age(person.session_id, WINDOW + SECOND)
    assert (await refresh(victim, held["refresh_token"])).status_code == 401
    await _require_ended(site, person, pairs)


async def _require_ended(site: Site, person: Person, pairs: list[dict[str, str]]) -> None:
    assert (await site.family(person.session_id)).ended_because == "token_reused"
    assert (await site.events(person.session_id))["token.reused"] == 1
    await require_dead(
        site,
        access_tokens=[person.access_token, *(pair["access_token"] for pair in pairs)],
        refresh_tokens=[person.refresh_token, *(pair["refresh_token"] for pair in pairs)],
    )
    assert (await site.events(person.session_id))["token.reused"] == 1, "one theft, one alarm"
