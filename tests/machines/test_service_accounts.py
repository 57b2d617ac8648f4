"""Service accounts: how they prove themselves, what they get for it, and what ends it."""

import asyncio
import hmac
import json
from base64 import b64encode
from datetime import timedelta
from typing import Any

import jwt as pyjwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from keystead.kernel.caller import Operator, Permission
from keystead.machines.secret_text import PATTERN, SecretKind, is_machine_secret, new_machine_secret
from tests.jwt.forging import b64
from tests.support.assertions import PEM, assertion, private_key, prove, with_public_key
from tests.support.machines import TOKEN, Machine, get_token, machine_bearer, make_service_account
from tests.support.people import make_user, new_email, register

pytestmark = pytest.mark.anyio

ACCOUNTS = "/api/v1/service-accounts"


async def admin_of(client, core):
    email = new_email()
    await make_user(core, email, is_admin=True)
    body = {"email": email, "password": "correct horse battery staple"}
    pair = (await client.post("/api/v1/auth/login", json=body)).json()
    return {"authorization": f"Bearer {pair['access_token']}"}


def claims_of(answer):
    return pyjwt.decode(answer.json()["access_token"], options={"verify_signature": False})


async def test_a_secret_is_exchanged_for_a_token_of_minutes(client, core):
    machine = await make_service_account(core, roles=("admin",))
    answer = await get_token(client, machine)
    body = answer.json()
    assert (answer.status_code, body["token_type"], body["expires_in"]) == (200, "Bearer", 300)
    assert answer.headers["cache-control"] == "no-store"
    claims = claims_of(answer)
    assert (claims["sub"], claims["client_id"], claims["key_id"]) == (
        machine.client_id,
        machine.client_id,
        machine.key_id,
    )
    assert set(claims) == {
        *("iss", "sub", "aud", "client_id", "exp", "iat", "jti", "key_id", "roles", "scope"),
    }
    assert set(body["scope"].split()) == set(Permission)


async def test_a_service_account_does_what_its_roles_permit(client, core):
    machine = await make_service_account(core, roles=("admin",))
    headers = await machine_bearer(client, machine)
    new = {"email": new_email(), "password": "a password that is long enough"}
    assert (await client.post("/api/v1/users", json=new, headers=headers)).status_code == 201
    me = await client.get("/api/v1/users/me", headers=headers)
    assert (me.status_code, me.json()["code"]) == (403, "session_required")


async def test_the_scope_narrows_and_never_widens(client, core):
    machine = await make_service_account(core, roles=("admin",), scopes=("users:read", "roles:read"))
    assert (await get_token(client, machine)).json()["scope"] == "roles:read users:read"
    answer = await get_token(client, machine, scope="users:read")
    assert answer.json()["scope"] == "users:read"
    headers = {"authorization": f"Bearer {answer.json()['access_token']}"}
    assert (await client.get("/api/v1/users", headers=headers)).status_code == 200
    assert (await client.get("/api/v1/roles", headers=headers)).status_code == 403
    for scope in ("users:delete", "users:read users:delete", "nonsense", "account:read"):
        refused = await get_token(client, machine, scope=scope)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")


@pytest.mark.parametrize(
    "ended", ["key revoked", "account disabled", "account deleted", "key expired", "role lost"]
)
async def test_what_ends_holds_at_once_on_every_route(client, core, clock, ended):
    machine = await make_service_account(core, roles=("admin",), lifetime=timedelta(minutes=2))
    headers = await machine_bearer(client, machine)
    account_id, key_id = machine.client_id, machine.key_id
    assert (await client.get("/api/v1/users", headers=headers)).status_code == 200
    account = await core.machines.show.by_name(Operator(), machine.name)
    match ended:
        case "key revoked":
            await core.machines.revoke_key(
                Operator(), account.id, (await core.machines.list_keys(Operator(), account.id))[0].id
            )
        case "account disabled":
            await core.machines.change(Operator(), account.id, is_disabled=True)
        case "account deleted":
            await core.machines.delete(Operator(), account.id)
        case "key expired":
            await clock.advance(timedelta(seconds=121))
        case "role lost":
            await core.machines.change(Operator(), account.id, roles=["user"])
        case _:
            raise AssertionError(ended)
    answer = await client.get("/api/v1/users", headers=headers)
    assert answer.status_code == (403 if ended == "role lost" else 401), (account_id, key_id)
    again = await get_token(client, machine)
    if ended != "role lost":
        assert (again.status_code, again.json()["error"]) == (401, "invalid_client")


async def test_two_secrets_at_once_let_one_replace_the_other(client, core):
    machine = await make_service_account(core)
    account = await core.machines.show.by_name(Operator(), machine.name)
    added = await core.machines.add_key(Operator(), account.id)
    for secret in (machine.secret, added.secret.reveal()):
        answer = await client.post(
            TOKEN, data={"grant_type": "client_credentials"}, auth=(machine.client_id, secret)
        )
        assert answer.status_code == 200
    first = (await core.machines.list_keys(Operator(), account.id))[-1]
    await core.machines.revoke_key(Operator(), account.id, first.id)
    assert (await get_token(client, machine)).status_code == 401


async def test_no_more_than_ten_keys_also_of_many_at_once(client, core):
    admin = await admin_of(client, core)
    made = (await client.post(ACCOUNTS, json={"name": "many"}, headers=admin)).json()
    path = f"{ACCOUNTS}/{made['account']['id']}/keys"
    answers = await asyncio.gather(*(client.post(path, json={}, headers=admin) for _ in range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] * 9 + [409] * 11
    assert len((await client.get(path, headers=admin)).json()["items"]) == 10


async def test_the_secret_is_shown_once_and_stored_as_a_digest(client, core, db):
    admin = await admin_of(client, core)
    made = (await client.post(ACCOUNTS, json={"name": "ci", "roles": ["user"]}, headers=admin)).json()
    secret = made["client_secret"]
    assert PATTERN.fullmatch(secret)
    assert secret.endswith(made["key"]["hint"])
    path = f"{ACCOUNTS}/{made['account']['id']}"
    for shown in (await client.get(path, headers=admin), await client.get(f"{path}/keys", headers=admin)):
        assert secret not in shown.text
    for row in await db.fetch("SELECT to_jsonb(k) AS row FROM service_keys k"):
        assert secret not in row["row"]
    events = [
        dict(row)
        for row in await db.fetch("SELECT event, detail FROM audit_events WHERE event LIKE 'service%'")
    ]
    assert {event["event"] for event in events} == {"service_account.added", "service_key.added"}
    assert secret not in json.dumps(events)


async def test_the_last_use_is_told_to_the_minute(client, core, clock):
    machine = await make_service_account(core)
    account = await core.machines.show.by_name(Operator(), machine.name)

    async def last_used():
        (key,) = await core.machines.list_keys(Operator(), account.id)
        return key.last_used_at

    assert await last_used() is None
    await get_token(client, machine)
    first = await last_used()
    await get_token(client, machine)
    assert await last_used() == first
    await clock.advance(timedelta(seconds=61))
    await get_token(client, machine)
    assert await last_used() > first


@pytest.mark.parametrize(
    "credentials",
    [
        ("{id}", "ks_sk_" + "x" * 49),
        ("{id}", ""),
        ("{id}", "{secret}x"),
        ("{id}", "{secret:.40}"),
        ("{other}", "{secret}"),
        ("", "{secret}"),
        ("{name}", "{secret}"),
        ("é", "{secret}"),
    ],
)
async def test_whatever_is_wrong_with_a_secret_the_answer_is_one(client, core, credentials):
    machine, other = await make_service_account(core), await make_service_account(core)
    names = {
        "id": machine.client_id,
        "other": other.client_id,
        "secret": machine.secret,
        "name": machine.name,
    }
    client_id, secret = (part.format(**names) for part in credentials)
    basic = b64encode(f"{client_id}:{secret}".encode()).decode()
    answer = await client.post(
        TOKEN,
        data={"grant_type": "client_credentials"},
        headers={"authorization": f"Basic {basic}", "x-request-id": "the-same-for-all"},
    )
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == 'Basic realm="keystead"'
    body = answer.json()
    assert (body["error"], body["code"]) == ("invalid_client", "invalid_client")


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Basic !!!", 401),
        ("Basic " + b64encode(b"no colon").decode(), 401),
        ("Basic " + b64encode(b"\xff:\xff").decode(), 401),
        ("Basic", 401),
        ("Bearer x", 401),
    ],
)
async def test_a_header_that_is_no_credential_is_refused(client, header, status):
    answer = await client.post(
        TOKEN, data={"grant_type": "client_credentials"}, headers={"authorization": header}
    )
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ("grant_type=password", "unsupported_grant_type"),
        ("grant_type=", "unsupported_grant_type"),
        ("", "invalid_request"),
        ("scope=users:read", "invalid_request"),
        ("grant_type=client_credentials&grant_type=client_credentials", "invalid_request"),
        ("grant_type=client_credentials&client_secret=a&client_id=b", "invalid_request"),  # beside Basic
        ("grant_type=client_credentials&client_assertion=a&client_assertion_type=b", "invalid_request"),
        ("grant_type", "invalid_request"),
        ("grant_type=%FF", "invalid_request"),
    ],
)
async def test_a_request_that_is_none_is_told_as_oauth_has_it(client, core, form, error):
    machine = await make_service_account(core)
    answer = await client.post(
        TOKEN,
        content=form,
        headers={"content-type": "application/x-www-form-urlencoded"},
        auth=machine.basic,
    )
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer.headers["content-type"] == "application/json"


async def test_unknown_parameters_are_ignored_and_json_is_not_taken(client, core):
    machine = await make_service_account(core)
    assert (await get_token(client, machine, resource="x", audience="y")).status_code == 200
    answer = await client.post(TOKEN, json={"grant_type": "client_credentials"}, auth=machine.basic)
    assert answer.status_code == 415


async def test_cve_class_55_a_scope_without_end_is_refused_by_its_size(client, core):
    machine = await make_service_account(core)
    answer = await get_token(client, machine, scope="a " * 100_000)
    assert answer.status_code == 413


@pytest.mark.parametrize(("kind", "algorithm"), [("ec", "ES256"), ("rsa", "RS256")])
async def test_a_signed_assertion_proves_a_client_once(client, core, clock, kind, algorithm):
    machine, private, _, kid = await with_public_key(core, kind)
    token = assertion(machine, private, kid, clock, algorithm=algorithm)
    answer = await prove(client, token)
    assert answer.status_code == 200, answer.text
    assert claims_of(answer)["key_id"] == kid
    assert (await prove(client, token)).json()["error"] == "invalid_client"


async def test_cve_class_26_of_many_at_once_one_assertion_counts_once(client, core, clock, db):
    machine, private, _, kid = await with_public_key(core)
    token = assertion(machine, private, kid, clock)
    answers = await asyncio.gather(*(prove(client, token) for _ in range(30)))
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 29
    assert len(await db.fetch("SELECT 1 FROM used_assertions")) == 1


WRONG: dict[str, dict[str, Any]] = {
    "another audience": {"aud": "https://evil.example"},
    "audiences": {"aud": ["http://127.0.0.1:3000", "https://evil.example"]},
    "another issuer": {"iss": "somebody"},
    "another subject": {"sub": "01890000-0000-7000-8000-000000000000"},
    "no id": {"jti": ...},
    "an empty id": {"jti": ""},
    "a long id": {"jti": "x" * 256},
    "no end": {"exp": ...},
    "expired": {"exp": 1},
    "a long life": {"exp": 9_999_999_999},
    "from the future": {"iat": 9_999_999_999},
    "not yet": {"nbf": 9_999_999_999},
    "an end that is no number": {"exp": "soon"},
}


@pytest.mark.parametrize("name", WRONG)
async def test_an_assertion_that_is_not_for_us_or_not_for_now_proves_nothing(client, core, clock, name):
    machine, private, _, kid = await with_public_key(core)
    token = assertion(machine, private, kid, clock, **WRONG[name])
    answer = await prove(client, token)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


async def test_cve_class_01_an_assertion_is_signed_by_the_key_it_names(client, core, clock):
    machine, private, public, kid = await with_public_key(core)
    other, other_private, _, other_kid = await with_public_key(core)
    forged = {
        "by another key": assertion(machine, other_private, kid, clock),
        "by another account": assertion(machine, other_private, other_kid, clock),
        "of no key": assertion(machine, private, "01890000-0000-7000-8000-000000000000", clock),
        "of a secret": assertion(machine, private, machine.key_id, clock),
        "not signed": pyjwt.encode({"iss": machine.client_id}, "", algorithm="none", headers={"kid": kid}),
        "of another type": assertion(machine, private, kid, clock, headers={"typ": "at+jwt"}),
        "nonsense": "a.b.c",
        "empty": "",
        "huge": "x" * 9000,
    }
    # A public key as the secret of an HMAC: PyJWT refuses to make it, so it is made by hand.
    head = b64(json.dumps({"alg": "HS256", "kid": kid, "typ": "JWT"}).encode())
    payload = assertion(machine, private, kid, clock).split(".")[1]
    mac = hmac.new(public.encode(), f"{head}.{payload}".encode(), "sha256").digest()
    forged["an HMAC with the public key"] = f"{head}.{payload}.{b64(mac)}"
    for name, token in forged.items():
        answer = await prove(client, token)
        assert answer.status_code == 401, name
    assert (
        await prove(client, assertion(other, other_private, other_kid, clock), client_id=machine.client_id)
    ).status_code == 401


@pytest.mark.parametrize(
    "pem",
    [
        "",
        "nonsense",
        "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
        "private",
        "weak",
        "x" * 5000,
    ],
)
async def test_only_a_sound_public_key_is_taken(client, core, pem):
    admin = await admin_of(client, core)
    made = (await client.post(ACCOUNTS, json={"name": "robot"}, headers=admin)).json()
    if pem == "private":
        pem = private_key()[0].decode()
    elif pem == "weak":
        pem = rsa.generate_private_key(65537, 1024).public_key().public_bytes(*PEM).decode()
    answer = await client.post(
        f"{ACCOUNTS}/{made['account']['id']}/keys", json={"public_key": pem}, headers=admin
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/public_key"


async def test_of_a_public_key_that_comes_with_its_private_one_nothing_is_kept(client, core, db):
    admin = await admin_of(client, core)
    private, public = private_key()
    pem = f"{public}{private.decode()}"
    answer = await client.post(ACCOUNTS, json={"name": "robot", "public_key": pem}, headers=admin)
    assert answer.status_code == 422
    assert "keep it to yourself" in answer.json()["errors"][0]["message"]
    pem = f"\n{public}a note\n-----BEGIN NOTE-----\n-----END NOTE-----\n"
    assert (
        await client.post(ACCOUNTS, json={"name": "robot", "public_key": pem}, headers=admin)
    ).status_code == 201
    (kept,) = await db.fetch("SELECT public_key FROM service_keys")
    assert kept["public_key"] == public


async def test_an_account_may_begin_with_a_public_key_and_then_has_no_secret(client, core, clock):
    admin = await admin_of(client, core)
    private, public = private_key("rsa")
    body = {"name": "robot", "public_key": public, "algorithm": "PS256", "scopes": []}
    made = (await client.post(ACCOUNTS, json=body, headers=admin)).json()
    assert (made["client_secret"], made["key"]["algorithm"], made["key"]["hint"]) == (None, "PS256", "")
    machine = Machine(made["client_id"], "", made["key"]["id"], "robot")
    token = assertion(machine, private, machine.key_id, clock, algorithm="PS256")
    assert (await prove(client, token)).json()["scope"] == ""
    other = assertion(machine, private, machine.key_id, clock, algorithm="RS256")
    assert (await prove(client, other)).status_code == 401


async def test_the_trail_tells_what_a_machine_may_do_from_then_on(client, core, db):
    admin = await admin_of(client, core)
    made = (await client.post(ACCOUNTS, json={"name": "ci", "roles": ["user"]}, headers=admin)).json()
    path = f"{ACCOUNTS}/{made['account']['id']}"
    await client.patch(path, json={"roles": ["admin", "user"], "is_disabled": True}, headers=admin)
    await client.delete(path, headers=admin)
    events = await db.fetch(
        "SELECT event, detail, actor_id, session_id FROM audit_events"
        " WHERE subject_id = $1::text::uuid AND event LIKE 'service_account.%' ORDER BY id",
        made["account"]["id"],
    )
    assert [(row["event"], json.loads(row["detail"])) for row in events] == [
        ("service_account.added", {"name": "ci", "roles": "user", "is_disabled": False}),
        ("service_account.changed", {"name": "ci", "roles": "admin user", "is_disabled": True}),
        ("service_account.deleted", {"name": "ci", "roles": "admin user", "is_disabled": True}),
    ]
    assert all(row["actor_id"] and row["session_id"] for row in events)


async def test_a_machine_is_no_administrator_who_could_be_the_last(client, core):
    await make_service_account(core, roles=("admin",))
    admin = await admin_of(client, core)
    answer = await client.delete("/api/v1/users/me", headers=admin)
    assert (answer.status_code, answer.json()["code"]) == (409, "last_administrator")


async def test_a_machine_narrowed_by_its_scopes_makes_itself_no_wider_key(client, core):
    machine = await make_service_account(core, roles=("admin",), scopes=("service_accounts:write",))
    headers = await machine_bearer(client, machine)
    for method, path, body in (
        ("POST", f"{ACCOUNTS}/{machine.client_id}/keys", {}),
        ("POST", f"{ACCOUNTS}/{machine.client_id}/keys", {"scopes": ["service_accounts:write"]}),
        ("PATCH", f"{ACCOUNTS}/{machine.client_id}", {"description": "d"}),
        ("POST", ACCOUNTS, {"name": "wider", "roles": ["admin"]}),
    ):
        answer = await client.request(method, path, json=body, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_cve_class_80_nobody_rises_by_making_a_machine(client, core, db):
    person = await register(client)
    await db.execute(
        "INSERT INTO roles (name, permissions) VALUES ('ops', $1)",
        ["service_accounts:write", "service_accounts:read"],
    )
    await db.execute("UPDATE authorization_state SET version = version + 1")
    await db.execute("INSERT INTO user_roles (user_id, role) VALUES ($1::text::uuid, 'ops')", person.id)
    strong = await make_service_account(core, roles=("admin",))
    weak = await make_service_account(core, roles=())
    answers = [
        await client.post(ACCOUNTS, json={"name": "boss", "roles": ["admin"]}, headers=person.bearer),
        await client.post(f"{ACCOUNTS}/{strong.client_id}/keys", json={}, headers=person.bearer),
        await client.patch(
            f"{ACCOUNTS}/{strong.client_id}", json={"description": "d"}, headers=person.bearer
        ),
        await client.delete(f"{ACCOUNTS}/{strong.client_id}/keys/{strong.key_id}", headers=person.bearer),
        await client.delete(f"{ACCOUNTS}/{strong.client_id}", headers=person.bearer),
        await client.patch(f"{ACCOUNTS}/{weak.client_id}", json={"roles": ["admin"]}, headers=person.bearer),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(403, "forbidden")}
    mine = await client.post(ACCOUNTS, json={"name": "helper", "roles": ["ops"]}, headers=person.bearer)
    assert mine.status_code == 201


async def test_a_role_that_is_deleted_goes_from_its_machines(client, core):
    admin = await admin_of(client, core)
    role = {"name": "reader", "permissions": ["users:read"]}
    assert (await client.post("/api/v1/roles", json=role, headers=admin)).status_code == 201
    machine = await make_service_account(core, roles=("reader",))
    headers = await machine_bearer(client, machine)
    assert (await client.get("/api/v1/users", headers=headers)).status_code == 200
    await client.delete("/api/v1/roles/reader", headers=admin)
    assert (await client.get("/api/v1/users", headers=headers)).status_code == 403


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "CI"}, "/name"),
        ({"name": "ci", "roles": ["nobody"]}, "/roles"),
        ({"name": "ci", "scopes": ["everything"]}, "/scopes"),
        ({"name": "ci", "ttl_days": 401}, "/ttl_days"),
        ({"name": "ci", "ttl_days": 0.0001}, "/ttl_days"),
        ({"name": "ci", "application": "nothing"}, "/client_id"),
        ({"name": "ci", "description": "a\nb"}, "/description"),
        ({"name": "ci", "secret": "mine"}, "/secret"),
        ({"name": "ci", "roles": ["a\u0000"]}, "/roles"),
        ({"name": "ci", "algorithm": "ES256"}, "/algorithm"),  # of a secret
        ({"name": "ci", "algorithm": "HS256", "public_key": "x"}, "/algorithm"),
        ({"name": "ci", "public_key": "x"}, "/public_key"),
    ],
)
async def test_a_bad_account_is_refused_by_field(client, core, body, pointer):
    answer = await client.post(ACCOUNTS, json=body, headers=await admin_of(client, core))
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


def test_a_scanner_can_tell_a_leaked_secret_from_a_word_that_looks_like_one():
    secret = new_machine_secret(SecretKind.SERVICE_KEY).reveal()
    assert is_machine_secret(secret, SecretKind.SERVICE_KEY)
    assert not is_machine_secret(secret, SecretKind.API_KEY)
    for place in range(len("ks_sk_"), len(secret)):
        changed = secret[:place] + ("a" if secret[place] != "a" else "b") + secret[place + 1 :]
        assert PATTERN.fullmatch(changed)
        assert not is_machine_secret(changed, SecretKind.SERVICE_KEY)
