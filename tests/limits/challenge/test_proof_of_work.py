"""Work that is proven: once, for what it was asked for, by whom it was asked, and in time."""

import asyncio
import os
import signal
import string
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import count, islice

import pytest

from keystead.kernel.clock import Clock
from keystead.kernel.db import Database, DatabaseUnavailable, PoolLimits
from keystead.kernel.migrate import migrate
from keystead.kernel.secrets import Secret
from keystead.limits.challenge.proof_of_work import LIFETIME
from keystead.limits.challenge.types import (
    MAX_ANSWER_LENGTH,
    MAX_DIFFICULTY,
    MIN_DIFFICULTY,
    ChallengeFailed,
)
from keystead.operations.sweep import KEEP_CHALLENGES
from keystead.vault import Vault
from tests.conftest import ROOT_SECRET
from tests.support import throwaway
from tests.support.challenges import ADDRESS, NETWORK, challenges_of, is_solved, solutions, solve
from tests.support.clock import freeze
from tests.support.databases import Urls
from tests.support.tables import contents

pytestmark = pytest.mark.anyio

BASE64URL = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
MOMENT = timedelta(microseconds=1)


@pytest.fixture
def challenges(db, vault, clock):
    return challenges_of(db, vault, clock)


def asked(challenges, *, purpose="login", network=NETWORK, difficulty=MIN_DIFFICULTY):
    return challenges.demand(purpose, network, difficulty).challenge


async def passes(challenges, answer, *, purpose="login", network=NETWORK, **more):
    """Whether it does; a refusal brings a challenge that differs from the one that was answered."""
    try:
        await challenges.check(answer, purpose=purpose, network=network, address=ADDRESS, **more)
    except ChallengeFailed as refusal:
        told, following = refusal.detail, refusal.challenge
    else:
        return True
    assert told == {"challenge": following}
    assert following["kind"] == "proof_of_work"
    assert following["challenge"] not in answer
    return False


async def test_a_challenge_says_all_that_is_needed_to_solve_it(challenges, clock):
    challenge = asked(challenges, difficulty=10)
    assert challenge.keys() == {"kind", "challenge", "difficulty", "algorithm", "expires_at"}
    assert (challenge["kind"], challenge["algorithm"], challenge["difficulty"]) == (
        "proof_of_work",
        "sha-256",
        10,
    )
    left = challenge["expires_at"] - clock.now()
    assert LIFETIME - timedelta(seconds=10) < left <= LIFETIME
    assert asked(challenges)["challenge"] != asked(challenges)["challenge"]


async def test_an_answer_passes_once_and_its_refusal_brings_the_next_challenge(challenges):
    answer = solve(asked(challenges))
    assert await passes(challenges, answer)
    with pytest.raises(ChallengeFailed) as refused:
        await challenges.check(answer, purpose="login", network=NETWORK, address=ADDRESS, difficulty=9)
    following = refused.value.challenge
    assert following["difficulty"] == 9
    assert await passes(challenges, solve(following))


async def test_cve_class_40_of_two_solutions_of_one_challenge_one_passes(challenges):
    first, other = islice(solutions(asked(challenges)), 2)
    assert await passes(challenges, first)
    assert not await passes(challenges, other)


async def test_cve_class_40_one_answer_at_once_fifty_times_over_two_workers_passes_once(urls, db, vault):
    other = Database(Secret(urls.runtime), PoolLimits(max_connections=10))
    workers = [challenges_of(db, vault), challenges_of(other, vault)]
    for _ in range(5):
        answer = solve(asked(workers[0]))
        results = await asyncio.gather(*(passes(workers[each % 2], answer) for each in range(50)))
        assert Counter(results) == {True: 1, False: 49}
    await other.close()


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"purpose": "register"},
        {"purpose": "logi"},
        {"network": "203.0.113.8/32"},
        {"network": ""},
        {"purpose": "login\0203.0.113.7/32", "network": ""},
    ],
    ids=str,
)
async def test_an_answer_is_for_one_purpose_and_one_network(challenges, elsewhere):
    answer = solve(asked(challenges))
    assert not await passes(challenges, answer, **elsewhere)
    assert await passes(challenges, answer)  # what was refused did not use it up


def others(symbol):
    """What differs from a symbol of base64url in one of its six bits, and what is no symbol of it."""
    number = BASE64URL.index(symbol)
    return [BASE64URL[number ^ 1 << bit] for bit in range(6)] + list("=+/. ")


async def test_cve_class_27_an_answer_that_is_altered_in_any_place_is_none(challenges, urls):
    challenge = asked(challenges)
    answer = solve(challenge)
    text = challenge["challenge"]
    forged = {
        text[:place] + other + text[place + 1 :]
        for place in range(len(text))
        for other in others(text[place])
    } - {text}
    before = await contents(urls)
    for one in forged:
        solved = solve({"challenge": one, "difficulty": MIN_DIFFICULTY})  # it is the MAC that is in the way
        assert challenges._proof_of_work.read(solved, purpose="login", network=NETWORK) is None
    assert not any(
        [
            await passes(challenges, cut)
            for cut in (answer[1:], answer[:-1][: len(text)], text, f"{text}.", answer + "x")
        ]
    )
    assert await contents(urls) == before
    assert await passes(challenges, answer)


async def test_nobody_makes_a_challenge_without_the_key(challenges, db):
    stranger = challenges_of(db, Vault({"challenge": {1: bytes(32)}}))
    assert not await passes(challenges, solve(asked(stranger)))


MALFORMED = (
    "", ".", "..", "0", "pw_", "pw_.", "pw_.0", "." * 4000, "pw_" + "A" * 76, "pw_" + "A" * 76 + ".0", "\x00", "\ud800",
    "\u00e9" * 100, "null", "{}", "[]", "-1", "pw_" + "=" * 76 + ".1", " ", "\r\n",
)  # fmt: skip


async def test_what_is_no_answer_is_refused_as_a_wrong_one_is_without_a_look_up(challenges, urls):
    challenge = asked(challenges)
    text = challenge["challenge"]
    numbered = (f"{text}.{counter}" for counter in count())
    unsolved = next(answer for answer in numbered if is_solved(answer, 7) and not is_solved(answer, 8))
    odd = [f"{text}.{odd}" for odd in ("-1", "+1", "1.0", "1e3", " 1", "0x1", "\u0661", "1" * 17, "", "1\n")]
    before = await contents(urls)
    for answer in (*MALFORMED, *odd, unsolved):
        assert not await passes(challenges, answer), answer
    assert await contents(urls) == before


@pytest.mark.parametrize("odd", ["{}x", "x{}", "-{}", " {}", "{}.", "{}\u0661", "0" * 16 + "{}"])
async def test_what_is_solved_with_something_else_than_a_number_is_no_answer(challenges, odd):
    challenge = asked(challenges)
    numbered = (f"{challenge['challenge']}.{odd.format(counter)}" for counter in count())
    solved = next(answer for answer in numbered if is_solved(answer, challenge["difficulty"]))
    assert not await passes(challenges, solved)


async def test_an_answer_that_is_longer_than_any_is_refused_unread(challenges):
    answer = solve(asked(challenges))
    assert not await passes(challenges, answer + " " * MAX_ANSWER_LENGTH)
    assert not await passes(challenges, "0" * 10_000_000)
    assert await passes(challenges, answer)


async def test_less_work_than_is_demanded_by_now_does_not_count(challenges):
    easy, hard = solve(asked(challenges, difficulty=8)), solve(asked(challenges, difficulty=12))
    assert not await passes(challenges, easy, difficulty=12)
    assert await passes(challenges, hard, difficulty=12)
    assert await passes(challenges, easy, difficulty=8)


@pytest.mark.parametrize(
    ("wanted", "got"),
    [(-1, MIN_DIFFICULTY), (0, MIN_DIFFICULTY), (16, 16), (25, MAX_DIFFICULTY), (10**6, MAX_DIFFICULTY)],
)
async def test_no_rule_asks_for_nothing_or_for_more_than_a_client_can_do(challenges, wanted, got):
    assert asked(challenges, difficulty=wanted)["difficulty"] == got


async def test_a_rule_above_the_bound_takes_what_was_solved_at_the_bound(db, vault, monkeypatch):
    monkeypatch.setattr("keystead.limits.challenge.proof_of_work.MAX_DIFFICULTY", 9)
    challenges = challenges_of(db, vault)
    assert await passes(challenges, solve(asked(challenges, difficulty=99)), difficulty=99)


# Time


async def test_an_answer_is_good_until_its_time_is_over_and_not_a_moment_longer(challenges, urls):
    in_time, late = asked(challenges), asked(challenges)
    await freeze(urls.owner, in_time["expires_at"] - MOMENT)
    assert await passes(challenges, solve(in_time))
    await freeze(urls.owner, late["expires_at"])
    assert not await passes(challenges, solve(late))


async def test_the_databases_time_decides_and_not_a_workers(urls, db, vault):
    class Late(Clock):
        def now(self):
            return datetime.now(UTC) - LIFETIME

    late = challenges_of(db, vault, Late())
    assert not await passes(late, solve(asked(late)))
    on_time = challenges_of(db, vault)
    answer = solve(asked(on_time))
    await freeze(urls.owner, datetime.now(UTC) + LIFETIME)
    assert not await passes(on_time, answer)


async def test_a_clock_that_is_set_back_revives_no_answer(core, challenges, db, clock):
    answer = solve(asked(challenges))
    assert await passes(challenges, answer)
    away = LIFETIME + timedelta(minutes=30)
    await clock.advance(away)
    await core.operations.sweep()
    await clock.advance(-away)
    assert not await passes(challenges, answer)
    await clock.advance(LIFETIME + KEEP_CHALLENGES + timedelta(seconds=20))
    await core.operations.sweep()
    assert await db.fetch("SELECT id_digest FROM used_challenges") == []


# Nothing is kept before it is solved, and nothing is lost afterwards


async def test_a_challenge_takes_no_memory_until_it_is_solved(challenges, urls):
    before = await contents(urls)
    for _ in range(100):
        asked(challenges)
    assert await contents(urls) == before
    await passes(challenges, solve(asked(challenges)))
    after = await contents(urls)
    assert len(after.pop("used_challenges")) == 1
    assert NETWORK not in str(after)


@pytest.mark.integration
async def test_an_answer_that_was_used_is_used_also_when_the_database_was_killed():
    with throwaway.postgres(options={}) as server:  # what it acknowledged must survive its end
        urls = Urls(server.owner_url, server.runtime_url)
        await migrate(Secret(urls.owner), runtime_url=Secret(urls.runtime))
        db = Database(Secret(urls.runtime), PoolLimits(max_connections=10))
        challenges = challenges_of(db, await Vault.unlock(db, Secret(ROOT_SECRET)))
        used, raced, fresh = (solve(asked(challenges)) for _ in range(3))
        assert await passes(challenges, used)
        racing = [asyncio.create_task(passes(challenges, raced)) for _ in range(50)]
        await asyncio.sleep(0.005)
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        results = await asyncio.gather(*racing, return_exceptions=True)
        assert all(isinstance(each, bool | DatabaseUnavailable) for each in results), results
        await until_back(server, db)
        passed = results.count(True) + sum([await passes(challenges, raced) for _ in range(3)])
        assert passed <= 1
        assert not await passes(challenges, used)
        assert await passes(challenges, fresh)
        await db.close()


async def until_back(server, db):
    async with asyncio.timeout(30):
        while True:
            server.poll()  # starts it again
            try:
                await db.fetch("SELECT 1")
            except DatabaseUnavailable:
                await asyncio.sleep(0.1)
            else:
                return
