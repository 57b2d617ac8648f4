"""API keys: no wider than their scopes and their owner, and gone when they are revoked."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from keystead.kernel.caller import Operator
from keystead.kernel.ids import UserId
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


async def test_a_changed_password_leaves_the_keys(client):
    person = await register(client)
    headers = await key_bearer(client, person, ["account:read"])
    body = {"current_password": PASSWORD, "new_password": "another password of mine"}
    assert (await client.put(f"{ME}/password", json=body, headers=person.bearer)).status_code == 204
    assert (await client.get(ME, headers=headers)).status_code == 200


async def test_no_more_than_25_keys_also_of_many_at_once(client):
    person = await register(client)
    answers = await asyncio.gather(*(make_api_key(client, person, ["account:read"]) for _ in range(40)))
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [201] * 25 + [409] * 15
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
        "ks_ak_" + "0" * 49,
    } - {secret}
    for text in spelled:
        answer = await client.get(ME, headers={"authorization": f"Bearer {text}"})
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
