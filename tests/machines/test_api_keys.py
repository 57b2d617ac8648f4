"""API keys: no wider than their scopes and their owner, and gone when they are revoked."""

import asyncio
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from keystead.kernel.caller import Operator, OwnScope, Permission
from keystead.kernel.ids import UserId
from keystead.machines.secret_text import _checksum
from tests.support.machines import key_bearer, make_api_key
from tests.support.people import PASSWORD, make_user, new_email, register
from tests.support.tickets import reset_ticket

pytestmark = pytest.mark.anyio

ME = "/api/v1/users/me"
KEYS = f"{ME}/api-keys"


async def sign_in(client, email):
    return (await client.post("/api/v1/auth/login", json={"email": email, "password": PASSWORD})).json()


class Admin:
    def __init__(self, user_id, token):
        self.id = str(user_id)
        self.bearer = {"authorization": f"Bearer {token}"}


async def make_admin(client, core):
    email = new_email()
    user_id = await make_user(core, email, is_admin=True)
    return Admin(user_id, (await sign_in(client, email))["access_token"])


async def test_a_key_reads_its_owners_account_and_no_more_than_its_scopes(client):
    person = await register(client)
    headers = await key_bearer(client, person, ["account:read"])
    me = await client.get(ME, headers=headers)
    assert (me.status_code, me.json()["id"]) == (200, person.id)
    change = await client.put(ME, json={"full_name": "Jane"}, headers=headers)
    assert (change.status_code, change.json()["code"]) == (403, "forbidden")
    writer = await key_bearer(client, person, ["account:write"])
    assert (await client.put(ME, json={"full_name": "Jane"}, headers=writer)).status_code == 200
    assert (await client.get(ME, headers=writer)).status_code == 403


async def test_what_a_person_does_no_key_does(client):
    person = await register(client)
    headers = await key_bearer(client, person, ["account:read", "account:write"])
    body = {"current_password": PASSWORD, "new_password": "another password of mine"}
    for answer in (
        await client.post("/api/v1/auth/logout-all", headers=headers),
        await client.put(f"{ME}/password", json=body, headers=headers),
        await client.delete(ME, headers=headers),
        await client.post(KEYS, json={"name": "n", "scopes": ["account:read"]}, headers=headers),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "session_required")
    answer = await client.post("/api/v1/auth/reauthenticate", json={"password": PASSWORD}, headers=headers)
    assert answer.status_code == 401


async def test_a_key_may_do_no_more_than_its_owner_has_now(client, core):
    admin = await make_admin(client, core)
    await make_admin(client, core)  # so that this one is not the last
    headers = await key_bearer(client, admin, ["users:read"])
    assert (await client.get("/api/v1/users", headers=headers)).status_code == 200
    assert (await client.get("/api/v1/roles", headers=headers)).status_code == 403
    await core.roles.set(Operator(), UserId(UUID(admin.id)), ["user"])
    assert (await client.get("/api/v1/users", headers=headers)).status_code == 403


async def test_a_scope_that_the_owner_does_not_have_is_refused(client):
    person = await register(client)
    answer = await make_api_key(client, person, ["account:read", "users:read"])
    assert (answer.status_code, answer.json()["permission"]) == (403, "users:read")


async def test_a_sensitive_act_takes_a_person(client, core):
    admin = await make_admin(client, core)
    headers = await key_bearer(client, admin, ["roles:write", "users:delete"])
    role = {"name": "reader", "permissions": []}
    answer = await client.post("/api/v1/roles", json=role, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "reauthentication_required")


async def test_a_key_is_shown_once_and_its_owner_is_told(client, db):
    person = await register(client)
    made = (await make_api_key(client, person, ["account:read", "account:read"])).json()
    secret = made["api_key"]
    assert secret.startswith("ks_ak_")
    assert made["key"]["scopes"] == ["account:read"]
    listed = await client.get(KEYS, headers=person.bearer)
    assert secret not in listed.text
    assert listed.json()["items"][0]["hint"] == secret[-4:]
    mails = await db.fetch("SELECT kind FROM mails WHERE user_id = $1::text::uuid", person.id)
    assert "api_key_added" in [mail["kind"] for mail in mails]


@pytest.mark.parametrize("ended", ["revoked", "expired", "owner disabled", "password reset", "owner erased"])
async def test_what_ends_a_key_holds_at_once(client, core, clock, db, ended):
    person = await register(client)
    made = (await make_api_key(client, person, ["account:read"], ttl_days=1)).json()
    headers = {"authorization": f"Bearer {made['api_key']}"}
    assert (await client.get(ME, headers=headers)).status_code == 200
    user_id = UserId(UUID(person.id))
    match ended:
        case "revoked":
            assert (
                await client.delete(f"{KEYS}/{made['key']['id']}", headers=person.bearer)
            ).status_code == 204
            again = await client.delete(f"{KEYS}/{made['key']['id']}", headers=person.bearer)
            assert (again.status_code, again.json()["code"]) == (404, "key_not_found")
        case "expired":
            await clock.advance(timedelta(days=1, seconds=1))
        case "owner disabled":
            await core.accounts.disable(Operator(), user_id)
        case "password reset":
            body = {"token": await reset_ticket(core, person.id), "password": "another password of mine"}
            assert (await client.post("/api/v1/auth/password/reset", json=body)).status_code == 204
        case "owner erased":
            assert (await client.delete(ME, headers=person.bearer)).status_code == 204
            assert await db.fetch("SELECT 1 FROM api_keys") == []
        case _:
            raise AssertionError(ended)
    assert (await client.get(ME, headers=headers)).status_code == 401


async def test_a_key_is_not_made_in_a_session_that_ended_meanwhile(client, core, db, urls):
    """Whoever is in somebody's account and sees the reset coming does not get a key through behind it."""
    person = await register(client)
    token = await reset_ticket(core, person.id)
    holder = await asyncpg.connect(urls.owner)
    try:
        async with holder.transaction():
            await holder.execute("SELECT 1 FROM users WHERE id = $1::text::uuid FOR UPDATE", person.id)
            body = {"token": token, "password": "another password of mine"}
            reset = asyncio.create_task(client.post("/api/v1/auth/password/reset", json=body))
            await until_waiting(db, 1)
            making = asyncio.create_task(make_api_key(client, person, ["account:read"]))
            await until_waiting(db, 2)
        assert (await reset).status_code == 204
        answer = await making
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
        assert await holder.fetch("SELECT 1 FROM api_keys WHERE revoked_at IS NULL") == []
    finally:
        await holder.close()


async def until_waiting(connection, count):
    """Until so many wait for a lock in this database."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(10):
        while (await connection.fetch(waiting))[0]["count"] < count:
            await asyncio.sleep(0.01)


async def test_a_key_that_is_revoked_while_it_is_used_is_refused_from_then_on(client):
    person = await register(client)
    made = (await make_api_key(client, person, ["account:read"])).json()
    headers = {"authorization": f"Bearer {made['api_key']}"}
    revoked = asyncio.Event()

    async def use():
        was_revoked = revoked.is_set()
        answer = await client.get(ME, headers=headers)
        assert answer.status_code in ((401,) if was_revoked else (200, 401))
        return answer.status_code

    async def revoke():
        answer = await client.delete(f"{KEYS}/{made['key']['id']}", headers=person.bearer)
        revoked.set()
        return answer.status_code

    uses = [asyncio.create_task(use()) for _ in range(20)]
    assert await revoke() == 204
    await asyncio.gather(*uses)
    assert {await use() for _ in range(5)} == {401}


async def test_a_narrowed_key_does_not_stand_for_the_roles_that_permit_more(client, core):
    admin = await make_admin(client, core)
    narrow = await key_bearer(client, admin, ["users:read"])
    wide = await key_bearer(client, admin, [*OwnScope, *Permission])
    assert (await client.get("/verify", headers=narrow)).headers["x-auth-roles"] == "user"
    assert (await client.get("/verify", headers=wide)).headers["x-auth-roles"] == "admin,user"
    assert (await client.get("/verify?role=admin", headers=narrow)).status_code == 403
    reader = await key_bearer(client, admin, ["account:read"])
    assert (await client.get(ME, headers=reader)).json()["roles"] == ["admin", "user"]


async def test_last_used_is_noted_at_the_first_use_and_then_once_a_minute(client, clock):
    person = await register(client)
    headers = await key_bearer(client, person, ["account:read"])

    async def last_used():
        return (await client.get(KEYS, headers=person.bearer)).json()["items"][0]["last_used_at"]

    assert await last_used() is None
    seen = set()
    for seconds in (0, 30, 29, 2):
        await clock.advance(timedelta(seconds=seconds))
        await client.get(ME, headers=headers)
        seen.add(await last_used())
    assert len(seen) == 2


async def test_keys_are_swept_some_time_after_their_end(client, core, clock, db):
    person = await register(client)
    await make_api_key(client, person, ["account:read"], ttl_days=1)
    revoked = (await make_api_key(client, person, ["account:read"])).json()["key"]["id"]
    await make_api_key(client, person, ["account:read"], ttl_days=400)
    assert (await client.delete(f"{KEYS}/{revoked}", headers=person.bearer)).status_code == 204
    await clock.advance(timedelta(days=2))
    await core.operations.sweep()
    assert len(await db.fetch("SELECT 1 FROM api_keys")) == 3  # the owner's export still tells of them
    await clock.advance(timedelta(days=200))
    await core.operations.sweep()
    assert len(await db.fetch("SELECT 1 FROM api_keys")) == 1


async def test_what_the_trail_says_of_a_key_names_it_and_tells_no_secret(client, db):
    person = await register(client)
    made = (await make_api_key(client, person, ["account:read"])).json()
    await client.delete(f"{KEYS}/{made['key']['id']}", headers=person.bearer)
    events = await db.fetch(
        "SELECT event, detail::text FROM audit_events WHERE event LIKE 'api_key.%' ORDER BY id"
    )
    assert [event["event"] for event in events] == ["api_key.added", "api_key.revoked"]
    for event in events:
        assert made["key"]["id"] in event["detail"]
        assert made["api_key"][6:] not in event["detail"]


async def test_a_changed_password_leaves_the_keys(client):
    person = await register(client)
    headers = await key_bearer(client, person, ["account:read"])
    body = {"current_password": PASSWORD, "new_password": "another password of mine"}
    assert (await client.put(f"{ME}/password", json=body, headers=person.bearer)).status_code == 204
    assert (await client.get(ME, headers=headers)).status_code == 200


async def test_no_more_than_25_keys_also_of_many_at_once(client):
    person = await register(client)
    answers = await asyncio.gather(*(make_api_key(client, person, ["account:read"]) for _ in range(50)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [201] * 25 + [409] * 25
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"too_many_keys"}
    assert len((await client.get(KEYS, headers=person.bearer)).json()["items"]) == 25


async def test_cve_class_80_another_persons_key_is_none(client):
    person, other = await register(client), await register(client)
    made = (await make_api_key(client, person, ["account:read"])).json()
    nothing = "01890000-0000-7000-8000-000000000000"
    headers = {**other.bearer, "x-request-id": "the-same-for-both"}
    one = await client.delete(f"{KEYS}/{made['key']['id']}", headers=headers)
    two = await client.delete(f"{KEYS}/{nothing}", headers=headers)
    assert (one.status_code, one.content) == (two.status_code, two.content) == (404, two.content)
    stranger = await client.get(f"/api/v1/users/{person.id}/api-keys", headers=other.bearer)
    assert stranger.status_code == 404
    assert (await client.get(ME, headers={"authorization": f"Bearer {made['api_key']}"})).status_code == 200


async def test_an_administrator_sees_and_revokes_them(client, core):
    person, admin = await register(client), await make_admin(client, core)
    made = (await make_api_key(client, person, ["account:read"])).json()
    path = f"/api/v1/users/{person.id}/api-keys"
    assert len((await client.get(path, headers=admin.bearer)).json()["items"]) == 1
    assert (await client.delete(f"{path}/{made['key']['id']}", headers=admin.bearer)).status_code == 204
    assert (await client.get(path, headers=admin.bearer)).json()["items"] == []


async def test_cve_class_27_no_other_spelling_of_a_key_is_one(client):
    person = await register(client)
    secret = (await make_api_key(client, person, ["account:read"])).json()["api_key"]
    spelled = {
        *(secret[:length] for length in range(len(secret))),
        *(secret + more for more in ("a", "=", " x")),
        secret.upper(),
        secret.lower(),
        secret.replace("ks_ak_", "ks_sk_"),
        secret.replace("ks_ak_", ""),
        secret.replace("ks_ak_", "ks_sk_")[:-6] + _checksum(secret.replace("ks_ak_", "ks_sk_")[:-6]),
        "ks_ak_" + "0" * 49,
        secret[:-1] + "\u00e9",
        "\uff4b" + secret[1:],
        "\u212a" + secret[1:],
        secret + "\u200b",
    } - {secret}
    for text in spelled:
        answer = await client.get(ME, headers={"authorization": f"Bearer {text}".encode()})
        assert answer.status_code in (400, 401), text
    for url in (f"{ME}?access_token={secret}", f"{ME}?token={secret}"):
        assert (await client.get(url)).status_code == 400


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "", "scopes": ["account:read"]}, "/name"),
        ({"name": "a\nb", "scopes": ["account:read"]}, "/name"),
        ({"name": "n", "scopes": []}, "/scopes"),
        ({"name": "n", "scopes": ["all"]}, "/scopes"),
        ({"name": "n", "scopes": "account:read"}, "/scopes"),
        ({"name": "n", "scopes": ["account:read"], "ttl_days": 401}, "/ttl_days"),
        ({"name": "n", "scopes": ["account:read"], "user_id": "x"}, "/user_id"),
    ],
)
async def test_a_bad_key_is_refused_by_field(client, body, pointer):
    person = await register(client)
    answer = await client.post(KEYS, json=body, headers=person.bearer)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
