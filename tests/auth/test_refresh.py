"""Refresh: rotation, the reuse window, reuse, and what a refusal leaves behind."""

import asyncio
from collections import Counter
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from keystead.kernel.ids import SessionId, new_uuid
from keystead.sessions.refresh_token import RefreshTokens
from tests.support.people import PASSWORD, refresh, register

pytestmark = pytest.mark.anyio

EVENTS = "SELECT event FROM audit_events WHERE session_id = $1::text::uuid ORDER BY id"
SESSION = "SELECT generation, reuse_count, ended_because FROM sessions WHERE id = $1::text::uuid"


async def events(db, person):
    return [row["event"] for row in await db.fetch(EVENTS, person.session_id)]


async def session(db, person):
    return tuple(await db.fetch_row(SESSION, person.session_id))


def refused(answer):
    return answer.status_code == 401 and answer.json()["code"] == "invalid_refresh_token"


async def test_a_refresh_gives_the_next_pair_and_the_chain_goes_on(client, db):
    person = await register(client)
    tokens = [person.refresh_token]
    for _ in range(3):
        answer = await refresh(client, tokens[-1])
        assert answer.status_code == 200
        tokens.append(answer.json()["refresh_token"])
    assert len(set(tokens)) == 4
    assert await session(db, person) == (4, 0, None)
    assert await events(db, person) == ["session.started", *["session.refreshed"] * 3]


async def test_a_retry_within_the_window_gets_the_same_token_and_a_fresh_access_token(client, db):
    person = await register(client)
    first = (await refresh(client, person.refresh_token)).json()
    again = (await refresh(client, person.refresh_token)).json()
    assert again["refresh_token"] == first["refresh_token"]
    assert again["access_token"] != first["access_token"]
    assert await session(db, person) == (2, 1, None)
    assert await events(db, person) == ["session.started", "session.refreshed", "session.refresh_repeated"]


async def test_the_token_may_stand_in_the_body_but_not_in_two_places(client):
    person = await register(client)
    body = {"refresh_token": person.refresh_token}
    assert (await client.post("/api/v1/auth/refresh", json=body)).status_code == 200
    both = await client.post(
        "/api/v1/auth/refresh", json=body, headers={"authorization": f"Bearer {person.refresh_token}"}
    )
    assert (both.status_code, both.json()["code"]) == (400, "several_credentials")


@pytest.mark.parametrize("seconds", [61, 3600])
async def test_a_replay_after_the_window_ends_the_session_and_the_ending_survives_the_refusal(
    client, db, clock, seconds
):
    person = await register(client)
    current = (await refresh(client, person.refresh_token)).json()
    await clock.advance(timedelta(seconds=seconds))
    assert refused(await refresh(client, person.refresh_token))
    assert await session(db, person) == (2, 0, "token_reused")
    assert (await events(db, person))[-1] == "token.reused"
    assert refused(await refresh(client, current["refresh_token"]))
    me = await client.get("/api/v1/users/me", headers={"authorization": f"Bearer {current['access_token']}"})
    assert me.status_code == 401


async def test_the_window_still_holds_one_second_before_its_end(client, db, clock):
    person = await register(client)
    await refresh(client, person.refresh_token)
    await clock.advance(timedelta(seconds=58))
    assert (await refresh(client, person.refresh_token)).status_code == 200
    assert await session(db, person) == (2, 1, None)


async def test_cve_class_23_a_token_two_generations_old_is_reuse_whatever_the_clock_says(client, db):
    person = await register(client)
    second = (await refresh(client, person.refresh_token)).json()["refresh_token"]
    third = (await refresh(client, second)).json()["refresh_token"]
    assert refused(await refresh(client, person.refresh_token))
    assert (await session(db, person))[2] == "token_reused"
    assert refused(await refresh(client, third))


async def test_more_repeats_than_allowed_are_put_off_without_a_change(client, db):
    person = await register(client)
    answers = [await refresh(client, person.refresh_token) for _ in range(23)]
    assert [answer.status_code for answer in answers] == [200] * 21 + [429] * 2
    assert answers[-1].json()["code"] == "too_many_refreshes"
    assert answers[-1].headers["retry-after"] == "1"
    assert await session(db, person) == (2, 20, None)
    assert (await refresh(client, answers[0].json()["refresh_token"])).status_code == 200


@pytest.mark.parametrize("width", [2, 8, 50])
async def test_cve_class_20_racing_refreshes_advance_the_chain_by_one(client, db, width):
    for _ in range(3):
        person = await register(client)
        answers = await asyncio.gather(*(refresh(client, person.refresh_token) for _ in range(width)))
        statuses = Counter(answer.status_code for answer in answers)
        successors = {answer.json()["refresh_token"] for answer in answers if answer.status_code == 200}
        assert statuses[200] == min(width, 21)
        assert statuses[429] == width - statuses[200]
        assert len(successors) == 1
        assert await session(db, person) == (2, min(width - 1, 20), None)
        assert Counter(await events(db, person)) == {
            "session.started": 1,
            "session.refreshed": 1,
            "session.refresh_repeated": min(width - 1, 20),
        }
        assert (await refresh(client, successors.pop())).status_code == 200


async def test_forgeries_are_refused_and_end_nothing(client, db, vault):
    person = await register(client)
    genuine = person.refresh_token
    changed = genuine[:-1] + ("A" if genuine[-1] != "A" else "B")
    unknown = RefreshTokens(vault).make(SessionId(new_uuid()), 1)
    for token in (
        "",
        "rt_",
        changed,
        genuine[:-1],
        genuine + "A",
        person.access_token,
        unknown.reveal(),
        "é",
    ):
        answer = await client.post("/api/v1/auth/refresh", json={"refresh_token": token or "-"})
        assert refused(answer)
    assert await session(db, person) == (1, 0, None)
    assert (await refresh(client, genuine)).status_code == 200


async def test_a_token_from_the_future_is_refused_and_noted_but_ends_nothing(client, db, vault):
    person = await register(client)
    future = RefreshTokens(vault).make(SessionId(UUID(person.session_id)), 3).reveal()
    assert refused(await refresh(client, future))
    assert await session(db, person) == (1, 0, None)
    assert (await events(db, person))[-1] == "token.from_the_future"


async def test_asvs_v5_7_3_1_a_session_that_was_not_refreshed_ends_when_idle(client, clock):
    person = await register(client)
    await clock.advance(timedelta(days=14, seconds=1))
    assert refused(await refresh(client, person.refresh_token))


async def test_asvs_v5_7_3_2_and_10_4_8_no_refresh_extends_the_absolute_life(client, clock):
    person = await register(client)
    renewed = {"refresh_token": person.refresh_token}
    for _ in range(29):
        await clock.advance(timedelta(days=1))
        renewed = (await refresh(client, renewed["refresh_token"])).json()
    assert int(renewed["refresh_expires_in"]) <= 86400
    await clock.advance(timedelta(days=1, seconds=1))
    assert refused(await refresh(client, renewed["refresh_token"]))


async def test_cve_class_25_a_disabled_user_is_not_refreshed(client, db):
    person = await register(client)
    await db.execute("UPDATE users SET status = 'disabled' WHERE id = $1::text::uuid", person.id)
    assert refused(await refresh(client, person.refresh_token))


async def test_another_epoch_ends_every_token_of_before(client, db):
    person = await register(client)
    await db.execute("UPDATE installation SET epoch = epoch + 1")
    assert refused(await refresh(client, person.refresh_token))
    assert (await client.get("/api/v1/users/me", headers=person.bearer)).status_code == 401
    login = await client.post("/api/v1/auth/login", json={"email": person.email, "password": PASSWORD})
    assert (await refresh(client, login.json()["refresh_token"])).status_code == 200


async def test_a_refresh_never_renews_the_time_of_authentication(client, db, clock, core):
    person = await register(client)
    await clock.advance(timedelta(minutes=10))
    renewed = (await refresh(client, person.refresh_token)).json()
    identity = await core.auth.identify(renewed["access_token"])
    assert clock.now() - identity.caller.auth_time > timedelta(minutes=9)


async def test_cve_class_22_a_commit_that_fails_costs_nothing(client, db, urls):
    person = await register(client)
    owner = await asyncpg.connect(urls.owner)
    await owner.execute(
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION USING ERRCODE = '57014'; END $$;"
        "CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON audit_events DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION fail()"
    )
    answer = await refresh(client, person.refresh_token)
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert await session(db, person) == (1, 0, None)
    await owner.execute("DROP TRIGGER fail ON audit_events")
    await owner.close()
    assert (await refresh(client, person.refresh_token)).status_code == 200
