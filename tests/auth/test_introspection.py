"""Introspection, revocation and /verify: tokens, applications and the services that ask about them."""

import asyncio

import jwt as pyjwt
import pytest

from tests.support.machines import key_bearer, machine_bearer, make_service_account
from tests.support.people import PASSWORD, new_email, refresh, register

pytestmark = pytest.mark.anyio

INTROSPECT = "/api/v1/auth/token/introspect"
REVOKE = "/api/v1/auth/token/revoke"
ME = "/api/v1/users/me"


@pytest.fixture
def configured():
    return {
        "APPLICATIONS__SHOP__AUDIENCE": "https://shop.example",
        "APPLICATIONS__SHOP__CLAIMS__ROLES__USER": "customer",
        "APPLICATIONS__BLOG__MODE": "token",
    }


async def asker(core, application=None):
    return await make_service_account(core, roles=("admin",), client_id=application)


async def ask(client, machine, token, path=INTROSPECT, **fields):
    headers = {"x-request-id": "the-same-for-all"}
    return await client.post(path, data={"token": token, **fields}, auth=machine.basic, headers=headers)


async def tokens_of(client, core, application):
    """One of each kind, of an application."""
    person = await register(client, client_id=application)
    machine = await make_service_account(core, roles=("user",), client_id=application)
    return {
        "access": person.access_token,
        "refresh": person.refresh_token,
        "machine": (await machine_bearer(client, machine))["authorization"].split()[1],
        "api key": (await key_bearer(client, person, ["account:read"]))["authorization"].split()[1],
    }


async def test_the_matrix_of_tokens_applications_and_who_asks(client, core):
    applications = {"default": "http://127.0.0.1:3000", "shop": "https://shop.example", "blog": "blog"}
    askers = {name: await asker(core, name) for name in applications}
    for name, audience in applications.items():
        for kind, token in (await tokens_of(client, core, name)).items():
            for asking, machine in askers.items():
                answer = (await ask(client, machine, token)).json()
                if kind == "refresh" or asking != name:
                    assert answer == {"active": False}, (name, kind, asking)
                else:
                    assert (answer["active"], answer["aud"]) == (True, audience), (name, kind)
                    assert {"sub", "client_id", "exp", "iat", "scope", "roles"} <= answer.keys()
                    assert ("sid" in answer, "key_id" in answer) == (kind == "access", kind != "access")


async def test_roles_are_told_as_the_application_shows_them_and_no_more_of_the_person(client, core):
    person = await register(client, client_id="shop")
    answer = (await ask(client, await asker(core, "shop"), person.access_token)).json()
    assert answer["roles"] == ["customer"]
    assert person.email not in str(answer)
    assert pyjwt.decode(person.access_token, options={"verify_signature": False})["roles"] == ["customer"]


async def test_what_is_not_active_looks_alike_whatever_it_is(client, core):
    machine = await asker(core)
    ended = await register(client)
    await client.post("/api/v1/auth/logout", headers=ended.bearer)
    foreign = await register(client, client_id="shop")
    good = await register(client)
    answers = [
        await ask(client, machine, token)
        for token in (
            "nonsense",
            "ks_ak_" + "x" * 49,
            "rt_" + "x" * 60,
            good.refresh_token,
            ended.access_token,
            foreign.access_token,
            good.access_token[:-2],
            good.access_token + "x",
            "é",
            "x" * 10_000,
        )
    ]
    assert {answer.status_code for answer in answers} == {200}
    assert {answer.content for answer in answers} == {b'{"active":false}'}
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}


async def test_an_active_answer_may_be_kept_for_a_moment(client, core):
    person = await register(client)
    answer = await ask(client, await asker(core), person.access_token)
    assert answer.headers["cache-control"] == "private, max-age=5"


async def test_a_revoked_credential_is_not_active_at_once(client, core):
    machine, person = await asker(core), await register(client)
    assert (await ask(client, machine, person.access_token)).json()["active"]
    await client.post("/api/v1/auth/logout", headers=person.bearer)
    assert not (await ask(client, machine, person.access_token)).json()["active"]


async def test_who_asks_must_prove_it_and_may(client, core):
    person = await register(client)
    without = await make_service_account(core, roles=("user",))
    refused = await ask(client, without, person.access_token)
    assert (refused.status_code, refused.json()["error"]) == (403, "insufficient_scope")
    nobody = await client.post(INTROSPECT, data={"token": person.access_token})
    assert (nobody.status_code, nobody.json()["error"]) == (401, "invalid_client")
    themselves = await client.post(INTROSPECT, data={"token": person.access_token}, headers=person.bearer)
    assert (themselves.status_code, themselves.json()["error"]) == (401, "invalid_token")
    by_token = await client.post(
        INTROSPECT,
        data={"token": person.access_token},
        headers=await machine_bearer(client, await asker(core)),
    )
    assert by_token.json()["active"]


async def test_a_signed_answer_is_no_access_token(client, core):
    machine, person = await asker(core), await register(client)
    headers = {"accept": "application/token-introspection+jwt"}
    answer = await client.post(
        INTROSPECT, data={"token": person.access_token}, auth=machine.basic, headers=headers
    )
    assert answer.headers["content-type"] == "application/token-introspection+jwt"
    assert pyjwt.get_unverified_header(answer.text)["typ"] == "token-introspection+jwt"
    claims = pyjwt.decode(answer.text, options={"verify_signature": False})
    assert claims["aud"] == machine.client_id
    assert claims["token_introspection"]["sub"] == person.id
    assert (await client.get(ME, headers={"authorization": f"Bearer {answer.text}"})).status_code == 401


@pytest.mark.parametrize("kind", ["access", "refresh", "api key"])
async def test_a_token_of_the_own_application_is_revoked_and_no_others(client, core, kind):
    tokens = await tokens_of(client, core, "shop")
    foreign = await ask(client, await asker(core, "blog"), tokens[kind], REVOKE)
    assert (foreign.status_code, foreign.content) == (200, b"")
    assert (await ask(client, await asker(core, "shop"), tokens["access"])).json()["active"]
    done = await ask(client, await asker(core, "shop"), tokens[kind], REVOKE)
    assert (done.status_code, done.content) == (200, b"")
    left = (
        await ask(client, await asker(core, "shop"), tokens["api key" if kind == "api key" else "access"])
    ).json()
    assert left == {"active": False}
    if kind != "api key":
        assert (await refresh(client, tokens["refresh"])).status_code == 401


async def test_a_machines_token_is_not_revoked_but_its_key_is(client, core):
    tokens = await tokens_of(client, core, "default")
    answer = await ask(client, await asker(core), tokens["machine"], REVOKE)
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_token_type")


async def test_revoking_many_times_at_once_ends_one_session_once(client, core, db):
    machine, person = await asker(core), await register(client)
    answers = await asyncio.gather(*(ask(client, machine, person.refresh_token, REVOKE) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    ends = await db.fetch(
        "SELECT 1 FROM audit_events WHERE event = 'session.ended' AND subject_id = $1::text::uuid", person.id
    )
    assert len(ends) == 1


@pytest.mark.parametrize("form", [{"token": ""}, {"hint": "x"}])
async def test_a_question_without_a_token_is_a_bad_request_or_about_nothing(client, core, form):
    answer = await client.post(INTROSPECT, data=form, auth=(await asker(core)).basic)
    if form.get("token") == "":
        assert answer.json() == {"active": False}
    else:
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


async def test_verify_says_who_it_is_to_a_proxy(client, core):
    person = await register(client)
    answer = await client.get("/verify", headers=person.bearer)
    assert answer.status_code == 204
    assert answer.headers["x-auth-subject"] == person.id
    assert answer.headers["x-auth-roles"] == "user"
    assert answer.headers["cache-control"] == "private, max-age=5"
    assert "Authorization" in answer.headers["vary"]
    assert (await client.get("/verify")).status_code == 401
    assert (await client.get("/verify?role=user", headers=person.bearer)).status_code == 204
    assert (await client.get("/verify?role=admin", headers=person.bearer)).status_code == 403
    key = await key_bearer(client, person, ["account:read"])
    assert (await client.get("/verify?scope=account:read", headers=key)).status_code == 204
    assert (await client.get("/verify?scope=account:read%20users:read", headers=key)).status_code == 403


async def test_verify_refuses_another_applications_token(client, core):
    person = await register(client, client_id="shop")
    assert (await client.get("/verify", headers=person.bearer)).status_code == 401
    there = await client.get("/verify?audience=https://shop.example", headers=person.bearer)
    assert there.status_code == 204
    unknown = await client.get("/verify?audience=https://shop.example&more=1", headers=person.bearer)
    assert unknown.status_code == 422


async def test_a_session_belongs_to_one_application(client):
    body = {"email": new_email(), "password": PASSWORD, "client_id": "shop"}
    pair = (await client.post("/api/v1/auth/register", json=body)).json()
    again = (await refresh(client, pair["refresh_token"])).json()
    for token in (pair["access_token"], again["access_token"]):
        claims = pyjwt.decode(token, options={"verify_signature": False})
        assert (claims["aud"], claims["client_id"]) == ("https://shop.example", "shop")
    other = await client.post(
        "/api/v1/auth/refresh",
        headers={"authorization": f"Bearer {again['refresh_token']}", "x-client-id": "blog"},
    )
    claims = pyjwt.decode(other.json()["access_token"], options={"verify_signature": False})
    assert (claims["aud"], claims["client_id"]) == ("https://shop.example", "shop")
