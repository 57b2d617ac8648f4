"""Idempotency-Key: a creating request that comes again makes nothing again, and is answered as it was."""

import asyncio
import hashlib
from datetime import timedelta

import pytest

from tests.contract.service import serving_over
from tests.proofs.gate import SETTLED, Way, gate_before
from tests.support.people import PASSWORD, make_user, new_email, refresh

pytestmark = pytest.mark.anyio

ROUTES = ("/users", "/invitations", "/roles", "/refresh_tokens")
MADE = """
    SELECT (SELECT count(*) FROM users) AS users, (SELECT count(*) FROM roles) AS roles,
           (SELECT count(*) FROM sessions) AS sessions, (SELECT count(*) FROM tickets) AS tickets,
           (SELECT count(*) FROM mails) AS mails, (SELECT count(*) FROM data_keys) AS data_keys,
           (SELECT count(*) FROM audit_events WHERE event <> 'session.refreshed') AS events
"""


async def sql(service, statement, *args):
    """Run over the service's own connections."""
    return await service.core.flows.unlock.db.fetch(statement, *args)


async def body_for(service, route):
    match route:
        case "/users":
            return {"email": new_email(), "password": PASSWORD, "full_name": "Ada"}
        case "/invitations":
            return {"email": new_email(), "full_name": "Ada"}
        case "/roles":
            return {"name": f"role-{new_email()[5:17]}", "description": "", "permissions": ["users:read"]}
        case _:
            return {"user_id": str(await make_user(service.core, new_email()))}


async def create(service, route, body, key, *, by):
    headers = {**by.bearer, "idempotency-key": key}
    return await service.client.post(f"/api/v1{route}", json=body, headers=headers)


def told(answer):
    """What stays the same in an answer that is given again: all but the access token, and the time that is left."""
    shown = answer.json()
    for name in ("access_token", "refresh_expires_in"):
        shown.pop(name, None)
    return answer.status_code, answer.headers.get("etag"), shown


async def made(service):
    [row] = await sql(service, MADE)
    return dict(row)


@pytest.fixture(scope="module")
async def admin(service):
    return await service.make_admin()


@pytest.mark.parametrize("route", ROUTES)
async def test_the_same_key_and_body_get_the_same_answer_and_make_nothing_twice(service, admin, route):
    body = await body_for(service, route)
    first = await create(service, route, body, "again", by=admin)
    assert first.status_code == 201, first.text
    before = await made(service)
    for _ in range(3):
        assert told(await create(service, route, body, "again", by=admin)) == told(first)
    assert await made(service) == before


@pytest.mark.parametrize("route", ROUTES)
async def test_twenty_at_once_make_one_and_are_answered_alike(service, admin, route):
    body = await body_for(service, route)
    before = await made(service)
    once = await create(service, route, await body_for(service, route), "single", by=admin)
    assert once.status_code == 201
    step = {name: count - before[name] for name, count in (await made(service)).items()}
    if route == "/refresh_tokens":
        step = {**step, "users": 0, "data_keys": 0, "events": 1}  # the other holder was made for it
    before = await made(service)
    answers = await asyncio.gather(*(create(service, route, body, "at once", by=admin) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({str(told(answer)) for answer in answers}) == 1
    assert {name: count - before[name] for name, count in (await made(service)).items()} == step


@pytest.mark.parametrize("route", ROUTES)
async def test_another_body_under_the_key_is_refused_and_makes_nothing(service, admin, route):
    body, other = await body_for(service, route), await body_for(service, route)
    assert (await create(service, route, body, "mine", by=admin)).status_code == 201
    before = await made(service)
    answer = await create(service, route, other, "mine", by=admin)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")
    assert await made(service) == before
    assert (await create(service, route, other, "mine too", by=admin)).status_code == 201


async def test_the_key_of_another_caller_or_of_another_route_is_another_key(service, admin):
    other = await service.make_admin()
    bodies = {route: await body_for(service, route) for route in ROUTES}
    for route, body in bodies.items():
        assert (await create(service, route, body, "shared", by=admin)).status_code == 201
    again = await create(service, "/users", {"email": new_email(), "password": PASSWORD}, "shared", by=other)
    assert again.status_code == 201
    rows = await sql(service, "SELECT count(*) FROM idempotency_keys WHERE key_digest = $1", digest("shared"))
    assert rows[0]["count"] == len(ROUTES) + 1


def digest(text):
    return hashlib.sha256(text.encode()).digest()


async def test_a_request_that_was_refused_uses_no_key_up(service, admin):
    taken = new_email()
    await make_user(service.core, taken)
    answer = await create(service, "/users", {"email": taken, "password": PASSWORD}, "refused", by=admin)
    assert answer.status_code == 409
    fine = await create(service, "/users", {"email": new_email(), "password": PASSWORD}, "refused", by=admin)
    assert fine.status_code == 201


async def test_the_session_of_a_repeated_request_is_one_and_after_its_use_it_is_not_given_out_again(
    service, admin
):
    body = await body_for(service, "/refresh_tokens")
    first, second = [await create(service, "/refresh_tokens", body, "one", by=admin) for _ in range(2)]
    assert first.json()["refresh_token"] == second.json()["refresh_token"]
    assert first.json()["session_id"] == second.json()["session_id"]
    assert (await refresh(service.client, first.json()["refresh_token"])).status_code == 200
    assert (await create(service, "/refresh_tokens", body, "one", by=admin)).status_code == 404


async def test_a_caller_who_lost_the_right_gets_no_answer_of_before(service):
    lost = await service.make_admin()
    body = await body_for(service, "/users")
    assert (await create(service, "/users", body, "mine", by=lost)).status_code == 201
    await sql(service, "DELETE FROM user_roles WHERE role = 'admin' AND user_id = $1::text::uuid", lost.id)
    answer = await create(service, "/users", body, "mine", by=lost)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


@pytest.mark.parametrize("key", ["", "x" * 256, "caf\u00e9", "a\tb", "\x7f"])
async def test_a_key_that_cannot_be_one_is_refused(service, admin, key):
    body = await body_for(service, "/users")
    answer = await service.client.post(
        "/api/v1/users", json=body, headers={**admin.bearer, "idempotency-key": key.encode()}
    )
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "idempotency_key_invalid")


async def test_the_table_holds_no_key_body_password_nor_a_bare_digest_of_them(service, admin):
    body = await body_for(service, "/users")
    answer = await create(service, "/users", body, "a key to look for", by=admin)
    assert answer.status_code == 201
    words = "\n".join(
        str(row["row"]) for row in await sql(service, "SELECT k::text AS row FROM idempotency_keys k")
    )
    sent = answer.request.content
    for secret in ("a key to look for", PASSWORD, body["email"], sent.decode()):
        assert secret not in words
        assert secret.encode().hex() not in words
    for hidden in (PASSWORD.encode(), sent, body["email"].encode()):
        for name in ("sha256", "sha512", "sha1", "md5", "sha3_256", "blake2b"):
            assert hashlib.new(name, hidden).hexdigest() not in words


async def test_a_key_is_kept_for_a_day_and_then_swept(core, client, db, clock):
    email = new_email()
    await make_user(core, email, is_admin=True)
    signed_in = (await client.post("/api/v1/auth/login", json={"email": email, "password": PASSWORD})).json()
    headers = {"authorization": f"Bearer {signed_in['access_token']}", "idempotency-key": "a day"}
    body = {"email": new_email(), "password": PASSWORD}
    assert (await client.post("/api/v1/users", json=body, headers=headers)).status_code == 201
    for by, left in ((timedelta(hours=24) - timedelta(minutes=1), 1), (timedelta(minutes=2), 0)):
        await clock.advance(by)
        await core.operations.sweep()
        assert (await db.fetch_row("SELECT count(*) FROM idempotency_keys"))["count"] == left


@pytest.fixture(scope="module")
async def gated(service):
    """Another worker over the same database, and the gate between the two."""
    async with gate_before(service.urls) as gate, serving_over(gate.urls) as made:
        yield made, gate


class LoseOne:
    """A guard that cuts the connection once, between PostgreSQL's COMMIT and the worker's hearing of it."""

    def __init__(self):
        self.has_cut = False

    async def __call__(self, way, chunk):
        is_commit = way is Way.TO_WORKER and b"COMMIT\x00" in chunk and chunk.endswith(SETTLED)
        if is_commit and not self.has_cut:
            self.has_cut = True
            return False
        return True


@pytest.mark.parametrize("route", ROUTES)
async def test_a_request_whose_answer_was_lost_after_its_commit_is_repeated_safely(
    service, gated, admin, route
):
    worker, gate = gated
    body = await body_for(service, route)
    before = await made(service)
    gate.guard = LoseOne()
    lost = await create(worker, route, body, "lost", by=admin)
    assert (lost.status_code, gate.guard.has_cut) == (503, True)
    after = await made(service)
    assert after != before, "it was committed"
    assert (await create(worker, route, body, "lost", by=admin)).status_code == 201
    assert await made(service) == after
