"""What the tokens of an application say, and what becomes of a session whose token would be too large."""

import json
import secrets
from datetime import timedelta

import jwt as pyjwt
import pytest

from tests.contract.answers import check_problem
from tests.contract.service import serving_over
from tests.jwt.forging import OfflineVerifier
from tests.support.applications import ask_to_sign_in, change, make, read, sign_in, sign_in_admin
from tests.support.holders import give_role
from tests.support.people import PASSWORD, refresh, register

pytestmark = pytest.mark.anyio

ALWAYS = {"iss", "sub", "aud", "client_id", "exp", "iat", "jti", "sid", "auth_time", "amr", "roles", "scope"}
AUTH = "/api/v1/auth"


@pytest.fixture
async def service(urls, clock):
    async with serving_over(urls, clock) as made:
        yield made


@pytest.fixture
async def admin(service):
    return await sign_in_admin(service.client, service.core)


async def keep(service, person, **app_metadata):
    """Write what applications know of somebody, whenever it is."""
    answer = await service.client.patch(
        f"/api/v1/users/{person.id}",
        json={"app_metadata": app_metadata},
        headers=await sign_in_admin(service.client, service.core),
    )
    assert answer.status_code == 200, answer.text


async def give_many_roles(service, person):
    """So many that no token of 4 KiB holds them."""
    for _ in range(50):
        name = f"role-{secrets.token_hex(29)}"
        await service.sql("INSERT INTO roles (name, permissions) VALUES ($1, '{}')", name)
        await give_role(service, person.id, name)


async def take_roles(service, person):
    await service.sql(
        "DELETE FROM user_roles WHERE user_id = $1::text::uuid AND role LIKE 'role-%'", person.id
    )


async def live_sessions(service, person):
    rows = await service.sql(
        "SELECT id::text FROM sessions WHERE user_id = $1::text::uuid AND ended_at IS NULL", person.id
    )
    return {row["id"] for row in rows}


async def test_nothing_personal_is_in_a_token_unless_it_is_mapped(service, admin):
    await make(
        service.client,
        admin,
        claims={"metadata": {"plan": "billing.plan", "https://x.example/all": "billing"}},
    )
    person = await register(service.client, client_id="shop", full_name="Jane Roe")
    for token in (person.access_token, (await register(service.client)).access_token):
        assert set(read(token)) == ALWAYS
        for personal in (person.email, "Jane", "Roe"):
            assert personal not in json.dumps(read(token))
    await keep(service, person, billing={"plan": "pro"})
    claims = read((await refresh(service.client, person.refresh_token)).json()["access_token"])
    assert (claims["plan"], claims["https://x.example/all"]) == ("pro", {"plan": "pro"})


async def test_a_value_is_said_as_it_is_stored_and_every_verifier_reads_it(service, admin):
    leaf = [1, "\u00fc\U0001f511", None, True]
    kept = {
        "deep": {"a": {"b": leaf}},
        "large": 10**40,
        "small": 1e-300,
        "zero": 0,
        "no": False,
        "empty": "",
        "none": None,
        "list": [],
    }
    mapping = {f"c_{name}": name for name in kept} | {
        "c_leaf": "deep.a.b",
        "c_absent": "deep.x.y",
        "c_of_text": "empty.x",
    }
    await make(service.client, admin, claims={"metadata": mapping})
    person = await register(service.client, client_id="shop")
    await keep(service, person, **kept)
    signed_in = await sign_in(service.client, person.email, "shop")
    expected = {f"c_{name}": value for name, value in kept.items() if value is not None}
    expected |= {"c_leaf": leaf}
    assert {
        name: value for name, value in read(signed_in.access_token).items() if name.startswith("c_")
    } == expected
    document = service.core.keys.read_set()
    verifier = OfflineVerifier(document, issuer=service.settings.issuer, audience="https://shop.example")
    verifier.moment = read(signed_in.access_token)["iat"]
    assert verifier.verify(signed_in.access_token).extra["c_large"] == 10**40
    key = pyjwt.PyJWKSet.from_json(document.decode())[
        pyjwt.get_unverified_header(signed_in.access_token)["kid"]
    ]
    assert (
        pyjwt.decode(signed_in.access_token, key, ["RS256"], audience="https://shop.example")["c_zero"] == 0
    )
    me = await service.client.get("/api/v1/users/me", headers=signed_in.bearer)
    assert me.status_code == 200


async def test_roles_are_shown_as_the_application_says_and_permit_what_they_did(service, admin):
    await make(service.client, admin, claims={"roles": {"admin": "https://shop.example/boss"}})
    email = (await register(service.client)).email
    assert read((await sign_in(service.client, email, "shop")).access_token)["roles"] == []
    await service.sql(
        "INSERT INTO user_roles (user_id, role) SELECT id, 'admin' FROM users ON CONFLICT DO NOTHING"
    )
    boss = await sign_in(service.client, email, "shop")
    assert read(boss.access_token)["roles"] == ["https://shop.example/boss"]
    assert (await service.client.get("/api/v1/users", headers=boss.bearer)).status_code == 200
    assert read((await sign_in(service.client, email)).access_token)["roles"] == ["admin", "user"]


@pytest.mark.parametrize("what", ["metadata", "roles"])
async def test_a_token_that_would_be_too_large_is_refused_by_name_and_costs_no_session(
    service, admin, clock, what
):
    if what == "metadata":
        await make(service.client, admin, claims={"metadata": {"notes": "notes"}})
    person = await register(service.client, client_id="shop" if what == "metadata" else "default")
    client_id = read(person.access_token)["client_id"]
    claim = "notes" if what == "metadata" else "roles"
    if what == "metadata":
        await keep(service, person, notes="x" * 4000)
    else:
        await give_many_roles(service, person)

    def check_refused(answer):
        assert check_problem(answer, 409, "token_too_large")["claim"] == claim

    for _ in range(3):
        check_refused(await refresh(service.client, person.refresh_token))
        check_refused(await ask_to_sign_in(service.client, person.email, client_id))
        proof = await service.client.post(
            f"{AUTH}/reauthenticate", json={"password": PASSWORD}, headers=person.bearer
        )
        check_refused(proof)
        assert await live_sessions(service, person) == {person.session_id}
    check_refused(
        await service.client.post(
            "/api/v1/refresh_tokens", json={"user_id": person.id, "client_id": client_id}, headers=admin
        )
    )
    assert await live_sessions(service, person) == {person.session_id}
    await clock.advance(timedelta(minutes=10))  # longer than any window for a repetition
    check_refused(await refresh(service.client, person.refresh_token))
    await (keep(service, person, notes="short") if what == "metadata" else take_roles(service, person))
    again = await refresh(service.client, person.refresh_token)
    assert (again.status_code, again.json()["session_id"]) == (200, person.session_id)


async def test_many_roles_that_fit_are_refreshed_as_ever(service, admin):
    person = await register(service.client)
    await give_many_roles(service, person)
    await service.sql(
        "DELETE FROM user_roles WHERE role IN (SELECT role FROM user_roles ORDER BY role LIMIT 30)"
    )
    token = person.refresh_token
    for _ in range(3):
        pair = (await refresh(service.client, token)).json()
        assert sum(map(len, read(pair["access_token"])["roles"])) > 1000
        token = pair["refresh_token"]


async def test_a_claim_that_is_mapped_anew_is_in_the_next_token(service, admin):
    await make(service.client, admin)
    person = await register(service.client, client_id="shop")
    await keep(service, person, billing={"plan": "pro"})
    first = (await refresh(service.client, person.refresh_token)).json()
    assert set(read(first["access_token"])) == ALWAYS
    await change(service.client, admin, "shop", claims={"metadata": {"plan": "billing.plan"}})
    second = (await refresh(service.client, first["refresh_token"])).json()
    assert read(second["access_token"])["plan"] == "pro"
    await change(service.client, admin, "shop", claims={"metadata": {"plan": None}})
    third = (await refresh(service.client, second["refresh_token"])).json()
    assert set(read(third["access_token"])) == ALWAYS
