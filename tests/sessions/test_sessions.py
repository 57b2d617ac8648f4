"""Sessions: how many at once, what ends them, and for how long a proof of identity holds."""

import asyncio
import random
from collections import Counter
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import httpx2
import pytest

from keystead.users import store as users
from tests.contract.answers import check_problem
from tests.contract.service import login, serving
from tests.support.clock import freeze
from tests.support.holders import Trail, holder_of
from tests.support.people import PASSWORD, Person, make_user, new_email, refresh, register
from tests.support.server import serving as serving_workers

pytestmark = pytest.mark.anyio

EXPORT = "/api/v1/users/me/export"
LIVE = """
    SELECT count(*) FROM sessions
     WHERE user_id = $1 AND ended_at IS NULL AND keystead_now() < least(idle_expires_at, absolute_expires_at)
"""


@pytest.fixture(scope="module")
async def service(cluster):
    async with serving(cluster, AUTH__MAX_SESSIONS="3") as made:
        yield made


async def sessions_of(service, person):
    return await service.sql(
        "SELECT id::text, ended_because FROM sessions WHERE user_id = $1::text::uuid ORDER BY created_at",
        person.id,
    )


async def sign_in(service, person, password=PASSWORD):
    answer = await login(service.client, person.email, password)
    assert answer.status_code == 200, answer.text
    pair = answer.json()
    return Person(person.id, person.email, pair["access_token"], pair["refresh_token"], pair["session_id"])


# --- how many at once


@pytest.fixture(scope="module")
async def site(service):
    """Two workers over the database of `service`, and a client of each."""
    settings = {
        "AUTH__MAX_SESSIONS": "3",
        "AUTH__HASH_THREADS": "8",
        "AUTH__SIGNING_ALGORITHM": "ES256",
        "AUTH__MAX_LOGIN_ATTEMPTS": "100",  # a life does not know what the others made of the password
    }
    async with serving_workers(service.urls, workers=2, **settings) as server:
        limits = httpx2.Limits(max_connections=25)
        clients = [
            httpx2.AsyncClient(base_url=f"http://localhost:{port}", limits=limits) for port in server.ports
        ]
        try:
            yield server, clients
        finally:
            for client in clients:
                await client.aclose()


@asynccontextmanager
async def watching(service, user_id):
    """How many live sessions were seen, and how often, by somebody who looks all the time."""
    watcher = await asyncpg.connect(service.urls.runtime)
    counts: Counter[int] = Counter()

    async def watch():
        while True:
            counts[await watcher.fetchval(LIVE, user_id)] += 1

    task = asyncio.create_task(watch())
    try:
        yield counts
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await watcher.close()


async def test_asvs_v5_7_1_2_of_fifty_sign_ins_at_once_over_two_workers_no_more_than_three_live_at_any_moment(
    service, site
):
    server, clients = site
    email = new_email()
    user_id = await make_user(service.core, email)
    trail = await Trail.from_now(service)
    async with watching(service, user_id) as counts:
        answers = await asyncio.gather(*(login(clients[number % 2], email) for number in range(50)))
    assert Counter(answer.status_code for answer in answers) == {200: 50}, (
        answers[0].text,
        server.logs()[-2000:],
    )
    assert max(counts) == 3
    assert sum(counts.values()) > 2, "nobody looked"

    rows = await service.sql(
        "SELECT id::text, ended_because, created_at FROM sessions WHERE user_id = $1 ORDER BY created_at, id",
        user_id,
    )
    assert [row["ended_because"] for row in rows] == ["too_many_sessions"] * 47 + [None] * 3
    live = {row["id"] for row in rows[-3:]}
    for answer in answers:
        bearer = {"authorization": f"Bearer {answer.json()['access_token']}"}
        shown = await clients[0].get("/api/v1/users/me", headers=bearer)
        assert shown.status_code == (200 if answer.json()["session_id"] in live else 401)
    assert Counter(await trail.names()) == {"session.started": 50, "session.ended": 47}
    because = await service.sql(
        "SELECT DISTINCT detail->>'because', actor_id FROM audit_events WHERE event = 'session.ended' AND id > $1",
        trail.after,
    )
    assert [tuple(row) for row in because] == [("too_many_sessions", None)]


# How often each, for a session that lives.
ACTS = {"reauthenticate": 4, "refresh": 4, "password": 3, "end": 2, "logout": 2, "logout_all": 1, "login": 1}


class Life:
    """Somebody's sessions, begun and ended by one of their devices at random. `passwords` are shared by all of them."""

    def __init__(self, client, email, passwords, seed):
        self.client, self.email, self.passwords = client, email, passwords
        self.chance = random.Random(seed)
        self.pair: Any = None
        self.seen: Counter[tuple[str, int]] = Counter()

    async def step(self):
        [name] = self.chance.choices(list(ACTS), list(ACTS.values()))
        name = name if self.pair else "login"
        answer = await getattr(self, name)(
            {"authorization": f"Bearer {self.pair and self.pair['access_token']}"}
        )
        self.seen[name, answer.status_code] += 1
        if answer.status_code == 200:
            self.pair = answer.json()
        elif answer.status_code == 401:
            self.pair = None

    async def login(self, _bearer):
        return await login(self.client, self.email, self.passwords[-1])

    async def logout(self, bearer):
        return await self.client.post("/api/v1/auth/logout", headers=bearer)

    async def logout_all(self, bearer):
        return await self.client.post("/api/v1/auth/logout-all", headers=bearer)

    async def end(self, bearer):
        return await self.client.delete(f"/api/v1/refresh_tokens/{self.pair['session_id']}", headers=bearer)

    async def refresh(self, _bearer):
        return await refresh(self.client, self.pair["refresh_token"])

    async def reauthenticate(self, bearer):
        body = {"password": self.passwords[-1]}
        return await self.client.post("/api/v1/auth/reauthenticate", json=body, headers=bearer)

    async def password(self, bearer):
        new = f"{PASSWORD} {len(self.passwords)}"
        body = {"current_password": self.passwords[-1], "new_password": new}
        body["end_other_sessions"] = self.chance.random() < 0.5
        answer = await self.client.put("/api/v1/users/me/password", json=body, headers=bearer)
        if answer.status_code == 204:
            self.passwords.append(new)
        return answer


async def test_sign_ins_and_their_ends_at_random_and_at_once_never_wait_for_each_other_in_a_circle(
    service, site
):
    server, clients = site
    email, passwords = new_email(), [PASSWORD]
    user_id = await make_user(service.core, email)
    lives = [Life(clients[seed % 2], email, passwords, seed) for seed in range(8)]

    def succeeded():
        return {name for life in lives for name, status in life.seen if status < 300}

    async def live(life):
        for number in range(150):
            if number >= 30 and succeeded() == set(ACTS):
                break
            await life.step()

    await asyncio.gather(*map(live, lives))
    seen = sum((life.seen for life in lives), Counter())
    assert {status for _, status in seen} <= {200, 204, 401, 404, 422}, (seen, server.logs()[-2000:])
    assert succeeded() == set(ACTS)
    ((count,),) = await service.sql(LIVE, user_id)
    assert count <= 3


@pytest.mark.parametrize(
    "lock",
    [users.load_for_update, users.list_of_address_for_update, users.list_by_email_for_update],
    ids=lambda lock: lock.__name__,
)
async def test_a_theft_is_told_of_without_waiting_for_whoever_waits_for_its_session(service, lock):
    """The one holds the session and tells its owner; the other holds the owner, and may be about to end the session."""
    person = await register(service.client)
    assert (await refresh(service.client, person.refresh_token)).status_code == 200
    await service.sql(
        "UPDATE sessions SET rotated_at = rotated_at - interval '1 hour' WHERE id = $1::text::uuid",
        person.session_id,
    )
    [row] = await service.sql("SELECT id, email_index FROM users WHERE id = $1::text::uuid", person.id)
    async with service.core.auth.login.db.begin() as tx:
        await lock(tx, row["email_index"] if lock is users.list_by_email_for_update else row["id"])
        async with asyncio.timeout(10):
            stolen = await asyncio.create_task(refresh(service.client, person.refresh_token))
    check_problem(stolen, 401, "invalid_refresh_token")
    [session] = await sessions_of(service, person)
    assert session["ended_because"] == "token_reused"


async def test_a_session_that_has_expired_is_none_of_too_many(client, db, clock):
    person = await register(client)
    for _ in range(2):
        assert (await login(client, person.email)).status_code == 200
    await clock.advance(timedelta(days=15))
    for _ in range(3):
        assert (await login(client, person.email)).status_code == 200
    rows = await db.fetch("SELECT ended_because FROM sessions")
    assert [row["ended_because"] for row in rows] == [None] * 6
    assert (await login(client, person.email)).status_code == 200
    rows = await db.fetch("SELECT ended_because FROM sessions ORDER BY created_at, id")
    assert [row["ended_because"] for row in rows] == [None] * 3 + ["too_many_sessions"] + [None] * 3


@pytest.fixture
def configured():
    return {"AUTH__MAX_SESSIONS": "3"}


async def test_a_limit_that_was_lowered_holds_from_the_next_sign_in_on(service):
    person = await register(service.client)
    await service.sql(
        """INSERT INTO sessions (id, user_id, client_id, epoch, rotated_at, amr, created_at, idle_expires_at,
                                 absolute_expires_at)
           SELECT gen_random_uuid(), user_id, client_id, epoch, rotated_at, amr, created_at - make_interval(secs => n),
                  idle_expires_at, absolute_expires_at
             FROM sessions, generate_series(1, 9) n WHERE id = $1::text::uuid""",
        person.session_id,
    )
    again = await sign_in(service, person)
    rows = await sessions_of(service, person)
    assert [row["ended_because"] for row in rows] == ["too_many_sessions"] * 8 + [None] * 3
    assert [row["id"] for row in rows[-2:]] == [person.session_id, again.session_id]


async def test_the_replacement_of_a_session_counts_once(service):
    person = await register(service.client)
    for _ in range(2):
        await sign_in(service, person)
    answer = await service.client.post(
        "/api/v1/auth/reauthenticate", json={"password": PASSWORD}, headers=person.bearer
    )
    assert answer.status_code == 200
    assert [row["ended_because"] for row in await sessions_of(service, person)] == [
        "reauthenticated",
        None,
        None,
        None,
    ]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE users SET status = 'disabled' WHERE id = $1",
        "UPDATE users SET status = 'locked' WHERE id = $1",
        "UPDATE users SET password_version = password_version + 1 WHERE id = $1",
        "erase",
    ],
)
async def test_cve_class_25_whoever_is_closed_out_while_the_password_is_checked_gets_no_session(
    service, monkeypatch, change
):
    person = await register(service.client)
    await service.client.post("/api/v1/auth/logout", headers=person.bearer)
    again = await sign_in(service, person)
    hasher = service.core.auth.login.hasher
    verify, trail = hasher.verify, await Trail.from_now(service)

    async def verified(stored, password, **more):
        is_right = await verify(stored, password, **more)
        if change == "erase":
            erasing = service.client.delete("/api/v1/users/me", headers=again.bearer)
            assert (await asyncio.create_task(erasing)).status_code == 204
        else:
            await service.sql(change.replace("$1", "$1::text::uuid"), person.id)
        return is_right

    monkeypatch.setattr(hasher, "verify", verified)
    before = len(await sessions_of(service, person))
    answer = await login(service.client, person.email)
    monkeypatch.undo()
    check_problem(answer, 401, "invalid_credentials")
    assert len(await sessions_of(service, person)) == (0 if change == "erase" else before)
    assert "session.started" not in await trail.names()
    assert (await trail.names())[-1] == "login.failed"


# --- ending them


async def test_asvs_v5_7_5_2_one_sees_and_ends_ones_own_sessions_and_nobody_elses(service):
    person, stranger = await register(service.client), await register(service.client)
    second = await sign_in(service, person)
    for path in (
        f"/api/v1/refresh_tokens/{second.session_id}",
        f"/api/v1/users/me/sessions/{second.session_id}",
        f"/api/v1/users/{person.id}/sessions/{second.session_id}",
        f"/api/v1/users/{stranger.id}/sessions/{second.session_id}",
    ):
        check_problem(await service.client.delete(path, headers=stranger.bearer), 404, "session_not_found")
    trail = await Trail.from_now(service)
    path = f"/api/v1/users/me/sessions/{second.session_id}"
    assert (await service.client.delete(path, headers=person.bearer)).status_code == 204
    check_problem(await service.client.delete(path, headers=person.bearer), 404, "session_not_found")
    check_problem(await service.client.get("/api/v1/users/me", headers=second.bearer), 401, "unauthorized")
    assert await trail.events() == [("session.ended", person.id, person.id)]
    assert [row["ended_because"] for row in await sessions_of(service, person)] == [None, "ended_by_owner"]


async def test_a_session_is_ended_under_its_own_users_path_and_no_other(service):
    ender, person = await holder_of(service, "sessions:end"), await register(service.client)
    for owner in (ender.id, "me", (await register(service.client)).id):
        answer = await service.client.delete(
            f"/api/v1/users/{owner}/sessions/{person.session_id}", headers=ender.bearer
        )
        check_problem(answer, 404, "session_not_found")
    assert [row["ended_because"] for row in await sessions_of(service, person)] == [None]


async def test_asvs_v5_7_4_5_an_administrator_ends_one_or_all_and_the_count_is_right(service):
    ender, person = await holder_of(service, "sessions:end"), await register(service.client)
    second, third = await sign_in(service, person), await sign_in(service, person)
    path = f"/api/v1/users/{person.id}/sessions"
    assert (
        await service.client.delete(f"{path}/{third.session_id}", headers=ender.bearer)
    ).status_code == 204
    ended = await service.client.delete(path, headers=ender.bearer)
    assert ended.json() == {"ended": 2}
    assert (await service.client.delete(path, headers=ender.bearer)).json() == {"ended": 0}
    for one in (person, second, third):
        check_problem(await refresh(service.client, one.refresh_token), 401, "invalid_refresh_token")
    assert {row["ended_because"] for row in await sessions_of(service, person)} == {"ended_by_administrator"}


async def test_ending_the_session_that_one_speaks_in_needs_no_fresh_proof_and_ending_another_does(service):
    person = await register(service.client)
    second = await sign_in(service, person)
    await service.sql(
        "UPDATE sessions SET auth_time = auth_time - interval '301 seconds' WHERE user_id = $1::text::uuid",
        person.id,
    )
    path = "/api/v1/users/me/sessions"
    answer = await service.client.delete(f"{path}/{second.session_id}", headers=person.bearer)
    check_problem(answer, 403, "reauthentication_required")
    assert (
        await service.client.delete(f"{path}/{person.session_id}", headers=person.bearer)
    ).status_code == 204


# --- for how long a proof holds


async def test_asvs_v5_7_5_1_a_proof_holds_for_300_seconds_of_the_database_and_not_a_microsecond_longer(
    client, urls, db
):
    person = await register(client)
    row = await db.fetch_row("SELECT auth_time FROM sessions WHERE id = $1::text::uuid", person.session_id)
    proven: datetime = row["auth_time"]
    for seconds, status in ((0, 200), (299, 200), (300, 200), (300.000001, 403), (301, 403), (300, 200)):
        await freeze(urls.owner, proven + timedelta(seconds=seconds))
        answer = await client.get(EXPORT, headers=person.bearer)
        assert answer.status_code == status, seconds
        if status == 403:
            assert check_problem(answer, 403, "reauthentication_required")["max_age"] == 300


async def test_the_time_of_the_process_decides_nothing_about_a_proof(client, urls, db, clock):
    person = await register(client)
    row = await db.fetch_row("SELECT auth_time FROM sessions WHERE id = $1::text::uuid", person.session_id)
    await clock.advance(timedelta(seconds=200))
    await freeze(urls.owner, row["auth_time"])
    assert (await client.get(EXPORT, headers=person.bearer)).status_code == 200
    await freeze(urls.owner, row["auth_time"] + timedelta(seconds=301))
    check_problem(await client.get(EXPORT, headers=person.bearer), 403, "reauthentication_required")


async def test_a_new_proof_is_a_new_session_and_the_old_one_opens_nothing(service):
    person = await register(service.client)
    await service.sql(
        "UPDATE sessions SET auth_time = auth_time - interval '301 seconds' WHERE id = $1::text::uuid",
        person.session_id,
    )
    proof = {"password": PASSWORD}
    answer = await service.client.post("/api/v1/auth/reauthenticate", json=proof, headers=person.bearer)
    pair = answer.json()
    assert pair["session_id"] != person.session_id
    bearer = {"authorization": f"Bearer {pair['access_token']}"}
    assert (await service.client.get(EXPORT, headers=bearer)).status_code == 200
    check_problem(await service.client.get("/api/v1/users/me", headers=person.bearer), 401, "unauthorized")
    check_problem(await refresh(service.client, person.refresh_token), 401, "invalid_refresh_token")
