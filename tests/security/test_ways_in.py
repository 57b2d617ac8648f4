"""Every way in, as docs/security/authentication.md lists them: the same accounts are kept out of all of them."""

import re
from pathlib import Path

import pytest

from keystead.api.rest import openapi
from keystead.api.rest.catalogue import ROUTES
from keystead.kernel.caller import Access, AnyOf, Permission
from tests.contract.answers import check_problem
from tests.contract.good_requests import Good, good, name_of, send_good
from tests.contract.service import login
from tests.support import machines
from tests.support.people import PASSWORD, new_email, refresh, register

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[2] / "docs" / "security" / "authentication.md"
CLOSED = ["disabled", "locked", "pending", "erased"]
SESSIONS = "SELECT count(*) AS there FROM sessions WHERE user_id = $1::text::uuid"


def documented():
    return re.findall(r"^\| `([A-Z]+ /\S+)` \|", PAGE.read_text("utf-8"), re.MULTILINE)


def gives_out_a_token(document, schema, seen=()):
    match schema:
        case {"$ref": reference}:
            name = reference.rpartition("/")[2]
            there = document["components"]["schemas"][name]
            return name not in seen and gives_out_a_token(document, there, (*seen, name))
        case dict():
            told = set(schema.get("properties", {}))
            return bool(told & {"access_token", "refresh_token"}) or any(
                gives_out_a_token(document, value, seen) for value in schema.values()
            )
        case list():
            return any(gives_out_a_token(document, value, seen) for value in schema)
        case _:
            return False


def ways_in():
    document = openapi.document(ROUTES)
    return [
        route
        for route in ROUTES
        if any(
            gives_out_a_token(document, answer)
            for status, answer in document["paths"][route.path][route.method.lower()]["responses"].items()
            if status.startswith("2")
        )
    ]


def test_asvs_v5_6_1_3_and_6_3_4_every_route_that_gives_out_a_token_is_documented_and_no_other():
    assert documented() == [name_of(route) for route in sorted(ways_in(), key=order)]


def order(route):
    found = documented()
    return found.index(name_of(route)) if name_of(route) in found else len(found)


async def closed(service, person, state):
    if state == "erased":
        answer = await service.client.delete("/api/v1/users/me", headers=person.bearer)
        assert answer.status_code == 204
    else:
        await service.sql("UPDATE users SET status = $2 WHERE id = $1::text::uuid", person.id, state)


async def try_register(service, person):
    body = {"email": person.email, "password": PASSWORD}
    return await service.client.post("/api/v1/auth/register", json=body)


async def try_login(service, person):
    return await login(service.client, person.email)


async def try_refresh(service, person):
    return await refresh(service.client, person.refresh_token)


async def try_refresh_by_id(service, person):
    return await service.client.put(
        f"/api/v1/refresh_tokens/{person.session_id}",
        headers={"authorization": f"Bearer {person.refresh_token}"},
    )


async def try_reauthenticate(service, person):
    return await service.client.post(
        "/api/v1/auth/reauthenticate", json={"password": PASSWORD}, headers=person.bearer
    )


async def try_issue(service, person):
    admin = await service.make_admin()
    return await service.client.post(
        "/api/v1/refresh_tokens", json={"user_id": person.id}, headers=admin.bearer
    )


TRIES = {
    "POST /api/v1/auth/register": try_register,
    "POST /api/v1/auth/login": try_login,
    "POST /api/v1/auth/refresh": try_refresh,
    "PUT /api/v1/refresh_tokens/{session_id}": try_refresh_by_id,
    "POST /api/v1/auth/reauthenticate": try_reauthenticate,
    "POST /api/v1/refresh_tokens": try_issue,
}
FOR_MACHINES = "POST /api/v1/auth/token"
# Whoever erased an account, or never proved its address, may begin anew: that is a stranger's account.
ANEW = {("POST /api/v1/auth/register", "erased"), ("POST /api/v1/auth/register", "pending")}


def test_every_way_of_people_is_tried_below():
    assert {*TRIES, FOR_MACHINES} == set(documented())


@pytest.mark.parametrize("way", [way for way in TRIES if not way.endswith("register")])
async def test_what_is_refused_below_is_let_in_while_the_account_is_open(service, way):
    answer = await TRIES[way](service, await register(service.client))
    assert answer.is_success, answer.text


@pytest.mark.parametrize("state", CLOSED)
@pytest.mark.parametrize("way", TRIES)
async def test_asvs_v5_6_1_3_and_6_3_4_and_cve_class_25_who_is_kept_out_is_kept_out_everywhere(
    service, way, state
):
    person = await register(service.client)
    await closed(service, person, state)
    before = await service.sql(SESSIONS, person.id)
    answer = await TRIES[way](service, person)
    if (way, state) in ANEW:
        assert answer.json()["user"]["id"] != person.id
    else:
        assert 400 <= answer.status_code < 500, answer.text
        assert not {"access_token", "refresh_token"} & set(answer.json())
    assert await service.sql(SESSIONS, person.id) == before


async def test_asvs_v5_6_1_3_and_6_3_4_a_service_account_that_was_disabled_gets_no_token(service):
    machine = await machines.make_service_account(service.core)
    assert (await machines.get_token(service.client, machine)).status_code == 200
    await service.sql(
        "UPDATE service_accounts SET disabled_at = keystead_now() WHERE id = $1::text::uuid",
        machine.client_id,
    )
    assert (await machines.get_token(service.client, machine)).status_code == 401


MAKING = (Permission.USERS_CREATE, AnyOf((Permission.USERS_CREATE, Permission.USERS_IMPORT)))
LINKS = [route for route in ROUTES if route.requires is Access.TICKET]


@pytest.mark.parametrize("route", LINKS, ids=name_of)
async def test_asvs_v5_6_3_6_no_mailed_link_signs_anybody_in(service, person, route):
    request = await good(service, route, None, person)
    before = await service.sql("SELECT count(*) AS there FROM sessions WHERE ended_at IS NULL")
    answer = await send_good(service, route, request, headers={})
    assert answer.status_code == request.status
    assert "set-cookie" not in answer.headers
    after = await service.sql("SELECT count(*) AS there FROM sessions WHERE ended_at IS NULL")
    assert after[0]["there"] <= before[0]["there"]


READING = [route for route in ROUTES if route.method == "GET"]


async def test_asvs_v5_7_6_2_no_session_starts_by_reading(service):
    admin = await service.make_admin()
    tried = []
    for route in READING:
        request: Good = await good(service, route, admin, admin)
        before = await service.sql("SELECT count(*) AS there FROM sessions")
        await send_good(service, route, request, headers=admin.bearer)
        assert await service.sql("SELECT count(*) AS there FROM sessions") == before, name_of(route)
        tried.append(route)
    assert len(tried) > 20
    assert not any(route.method == "GET" for route in ways_in())


@pytest.mark.parametrize("path", ["/api/v1/users", "/api/v1/invitations"])
async def test_cve_class_78_who_may_not_make_accounts_makes_none(service, person, path):
    """Beside registration, which a hook decides about, accounts are made on these paths only."""
    made = {route.path for route in ROUTES if route.requires in MAKING}
    assert made == {"/api/v1/users", "/api/v1/invitations"}
    before = await service.sql("SELECT count(*) AS there FROM users")
    answer = await service.client.post(path, json={"email": new_email()}, headers=person.bearer)
    check_problem(answer, 403, "forbidden")
    assert await service.sql("SELECT count(*) AS there FROM users") == before
