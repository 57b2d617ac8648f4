"""A fresh proof of identity: a new session in the place of the old one, once, however often it is asked for."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from keystead.kernel.caller import FRESH_FOR
from tests.contract.service import serving
from tests.support.people import PASSWORD, make_user, new_email, refresh, register

pytestmark = pytest.mark.anyio

WRONG = "not the password of anybody"
WINDOW = timedelta(seconds=60)


AGE = """
    UPDATE sessions
       SET auth_time = auth_time - $2::interval, rotated_at = rotated_at - $2::interval,
           ended_at = ended_at - $2::interval
     WHERE user_id = $1::text::uuid
"""


@pytest.fixture(scope="module")
async def service(cluster):
    async with serving(cluster) as made:
        yield made


@pytest.fixture
def client(service):
    return service.client


@pytest.fixture
def core(service):
    return service.core


@pytest.fixture
def db(core):
    return core.flows.unlock.db


async def age(db, person, by):
    """As if this had passed for the person's sessions."""
    await db.execute(AGE, person.id, by)


async def reauthenticate(client, token, password=PASSWORD):
    return await client.post(
        "/api/v1/auth/reauthenticate",
        json={"password": password},
        headers={"authorization": f"Bearer {token}"},
    )


async def shows(client, token):
    answer = await client.get("/api/v1/users/me", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code in (200, 401)
    return answer.status_code == 200


async def sessions_of(db, person):
    return await db.fetch(
        """SELECT id::text AS id, auth_time, ended_at, ended_because, replaced_by::text AS replaced_by, amr
             FROM sessions WHERE user_id = $1::text::uuid ORDER BY created_at""",
        person.id,
    )


async def is_fresh(client, token):
    """Whether a sensitive act is done; this one changes nothing."""
    answer = await client.get("/api/v1/users/me/export", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code in (200, 403), answer.text
    return answer.status_code == 200


async def test_a_new_session_with_a_fresh_proof_takes_the_place_of_the_old_one(client, db):
    person = await register(client)
    await age(db, person, timedelta(minutes=4))
    answer = await reauthenticate(client, person.access_token)
    assert answer.status_code == 200
    pair = answer.json()
    old, new = await sessions_of(db, person)
    assert (pair["session_id"], old["id"]) == (new["id"], person.session_id)
    assert (old["ended_because"], old["replaced_by"], new["ended_at"]) == ("reauthenticated", new["id"], None)
    assert new["auth_time"] - old["auth_time"] > timedelta(minutes=4)
    assert [await shows(client, each) for each in (person.access_token, pair["access_token"])] == [
        False,
        True,
    ]
    assert (await refresh(client, person.refresh_token)).status_code == 401
    assert (await refresh(client, pair["refresh_token"])).status_code == 200


async def test_asvs_v5_7_5_1_only_a_proof_makes_a_session_fresh_again_and_a_refresh_does_not(client, db):
    person = await register(client)
    assert await is_fresh(client, person.access_token)
    await age(db, person, FRESH_FOR - timedelta(seconds=30))
    refreshed = (await refresh(client, person.refresh_token)).json()
    assert await is_fresh(client, refreshed["access_token"])
    await age(db, person, timedelta(seconds=31))
    assert not await is_fresh(client, refreshed["access_token"])
    refreshed = (await refresh(client, refreshed["refresh_token"])).json()
    assert not await is_fresh(client, refreshed["access_token"])
    proven = (await reauthenticate(client, refreshed["access_token"])).json()
    assert await is_fresh(client, proven["access_token"])


async def test_who_lost_the_answer_asks_again_within_the_window_and_the_chain_does_not_fork(
    client, db, clock
):
    person = await register(client)
    first = (await reauthenticate(client, person.access_token)).json()
    await age(db, person, WINDOW - timedelta(seconds=10))
    second = (await reauthenticate(client, person.access_token)).json()
    assert first["refresh_token"] == second["refresh_token"]
    assert first["session_id"] == second["session_id"]
    assert await shows(client, second["access_token"])
    assert (await refresh(client, second["refresh_token"])).status_code == 200
    assert len(await sessions_of(db, person)) == 2


async def test_after_the_window_the_old_session_is_over(client, db):
    person = await register(client)
    assert (await reauthenticate(client, person.access_token)).status_code == 200
    await age(db, person, WINDOW + timedelta(seconds=1))
    answer = await reauthenticate(client, person.access_token)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")


async def test_after_the_new_session_was_used_the_old_one_is_over(client, db):
    person = await register(client)
    pair = (await reauthenticate(client, person.access_token)).json()
    assert (await refresh(client, pair["refresh_token"])).status_code == 200
    answer = await reauthenticate(client, person.access_token)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert len(await sessions_of(db, person)) == 2


async def test_after_the_new_session_was_ended_the_old_one_does_not_bring_it_back(client):
    person = await register(client)
    pair = (await reauthenticate(client, person.access_token)).json()
    bearer = {"authorization": f"Bearer {pair['access_token']}"}
    assert (await client.post("/api/v1/auth/logout", headers=bearer)).status_code == 204
    assert (await reauthenticate(client, person.access_token)).status_code == 401


async def test_twenty_at_once_leave_one_live_session_and_no_orphan(client, db):
    person = await register(client)
    answers = await asyncio.gather(*(reauthenticate(client, person.access_token) for _ in range(20)))
    assert {answer.status_code for answer in answers} <= {200, 503}
    pairs = [answer.json() for answer in answers if answer.status_code == 200]
    assert pairs
    assert len({pair["refresh_token"] for pair in pairs}) == 1
    assert len({pair["session_id"] for pair in pairs}) == 1
    old, new = await sessions_of(db, person)
    assert (old["replaced_by"], new["ended_at"]) == (new["id"], None)
    for pair in pairs:
        assert await shows(client, pair["access_token"])
    events = await db.fetch(
        "SELECT event FROM audit_events WHERE subject_id = $1::text::uuid AND event LIKE 'session.%'",
        person.id,
    )
    assert Counter(row["event"] for row in events) == {"session.started": 2, "session.ended": 1}


async def test_a_wrong_password_is_refused_and_recorded_and_the_session_goes_on(client, db):
    person = await register(client)
    answer = await reauthenticate(client, person.access_token, WRONG)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")
    assert await shows(client, person.access_token)
    [session] = await sessions_of(db, person)
    assert session["ended_at"] is None
    row = await db.fetch_row(
        "SELECT event, session_id::text AS session FROM audit_events ORDER BY id DESC LIMIT 1"
    )
    assert tuple(row) == ("reauthentication.failed", person.session_id)
    assert (await reauthenticate(client, person.access_token)).status_code == 200


async def test_somebody_elses_password_proves_nothing(client):
    person = await register(client)
    await register(client, password="the password of somebody else")
    answer = await reauthenticate(client, person.access_token, "the password of somebody else")
    assert answer.status_code == 401


@pytest.mark.parametrize("status", ["disabled", "locked"])
async def test_a_closed_account_is_not_reopened(client, db, status):
    person = await register(client)
    await db.execute("UPDATE users SET status = $2 WHERE id = $1::text::uuid", person.id, status)
    answer = await reauthenticate(client, person.access_token)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert len(await sessions_of(db, person)) == 1


async def test_a_password_changed_while_the_old_one_is_checked_wins(client, core, db, monkeypatch):
    person = await register(client)
    hasher = core.auth.reauthenticate.hasher
    verify = hasher.verify

    async def slow(stored, password, **more):
        is_right = await verify(stored, password, **more)
        await db.execute(
            "UPDATE users SET password_version = password_version + 1 WHERE id = $1::text::uuid", person.id
        )
        return is_right

    monkeypatch.setattr(type(hasher), "verify", lambda _self, *args, **more: slow(*args, **more))
    answer = await reauthenticate(client, person.access_token)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")
    [session] = await sessions_of(db, person)
    assert session["ended_at"] is None


async def test_a_session_that_nobody_proved_is_never_fresh_and_is_not_made_so_by_refreshing(client, core, db):
    email = new_email()
    await make_user(core, email, is_admin=True)
    admin = (await client.post("/api/v1/auth/login", json={"email": email, "password": PASSWORD})).json()
    person = await register(client)
    issued = (
        await client.post(
            "/api/v1/refresh_tokens",
            json={"user_id": person.id},
            headers={"authorization": f"Bearer {admin['access_token']}"},
        )
    ).json()
    assert not await is_fresh(client, issued["access_token"])
    refreshed = (await refresh(client, issued["refresh_token"])).json()
    assert not await is_fresh(client, refreshed["access_token"])
    for password in (WRONG, "administrator's own password"):
        assert (await reauthenticate(client, refreshed["access_token"], password)).status_code == 401
    row = await db.fetch_row(
        "SELECT auth_time, actor_id IS NOT NULL AS acted FROM sessions WHERE id = $1::text::uuid",
        issued["session_id"],
    )
    assert tuple(row) == (None, True)
    proven = (await reauthenticate(client, refreshed["access_token"])).json()  # the user's own password
    row = await db.fetch_row(
        "SELECT auth_time IS NOT NULL AS proven, actor_id FROM sessions WHERE id = $1::text::uuid",
        proven["session_id"],
    )
    assert tuple(row) == (True, None)


async def test_a_refresh_token_and_no_token_prove_nothing(client):
    person = await register(client)
    for headers in ({}, {"authorization": f"Bearer {person.refresh_token}"}):
        answer = await client.post(
            "/api/v1/auth/reauthenticate", json={"password": PASSWORD}, headers=headers
        )
        assert answer.status_code == 401
    assert await shows(client, person.access_token)
