"""What machines may do: every route, for API keys and for service accounts."""

import pytest

from keystead.api.rest.catalogue import ROUTES
from keystead.api.rest.routes import Route
from keystead.kernel.caller import Access, AnyOf, OwnerOr, OwnScope, Permission
from tests.contract.good_requests import good, name_of, send_good
from tests.support.machines import get_token, key_bearer, machine_bearer, make_service_account
from tests.support.people import register

pytestmark = pytest.mark.anyio

EVERYTHING = [*OwnScope, *Permission]


async def key_of_an_admin(service):
    person = await service.make_admin()
    return person, await key_bearer(service.client, person, EVERYTHING)


async def key_of_nothing_much(service):
    """Their owner may do everything; the key may not."""
    person = await service.make_admin()
    return person, await key_bearer(service.client, person, ["health:read"])


async def service_with_every_role(service):
    machine = await make_service_account(service.core, roles=("admin", "user"))
    return await register(service.client), await machine_bearer(service.client, machine)


async def service_without_roles(service):
    machine = await make_service_account(service.core, roles=())
    return await register(service.client), await machine_bearer(service.client, machine)


MACHINES = (key_of_an_admin, key_of_nothing_much, service_with_every_role, service_without_roles)
POWERFUL = {"key_of_an_admin", "service_with_every_role"}


def expected(route: Route, machine: str, success: int) -> int:  # noqa: C901, PLR0912 - a table
    is_key = machine.startswith("key")
    match route.requires:
        case Access.PUBLIC | Access.TICKET | Access.BEARER:
            return success
        case Access.SIGNED_IN:
            return 403
        case Access.SIGNED_IN_WITH_PASSWORD | Access.REFRESH_COOKIE:
            return 401
        case Access.REFRESH_TOKEN:
            return 403 if "refresh_tokens" in route.path else 401
        case Access.SIGNED_IN_OR_REFRESH_TOKEN:
            return 403
        case Access.CLIENT:
            if is_key or route.path == "/api/v1/auth/token":
                return 401  # neither is a client's proof
            return success if machine in POWERFUL else 403
        case OwnScope():
            return success if machine == "key_of_an_admin" else 403
        case Permission.SESSIONS_ISSUE:
            return 403  # people do that
        case Permission() as permission if permission == Permission.HEALTH_READ and is_key:
            return success
        case Permission() | AnyOf():
            if machine not in POWERFUL:
                return 403
            return 403 if is_key and route.is_sensitive else success
        case OwnerOr():
            if machine not in POWERFUL:
                return 404
            return 403 if is_key and route.is_sensitive else success


@pytest.mark.parametrize("machine", MACHINES, ids=lambda machine: machine.__name__)
@pytest.mark.parametrize("route", ROUTES, ids=name_of)
async def test_asvs_v5_8_2_1_a_machine_does_what_its_scopes_and_roles_permit_and_no_more(
    service, route, machine
):
    person, headers = await machine(service)
    target = await register(service.client)
    request = await good(service, route, person, target)
    answer = await send_good(service, route, request, headers=headers)
    assert answer.status_code == expected(route, machine.__name__, request.status), answer.text
    if answer.status_code == 403:
        assert answer.json()["code"] in {
            "session_required",
            "forbidden",
            "reauthentication_required",
            "refresh_token_required",
        }


KEY_ENDINGS = {
    "revoked": "UPDATE api_keys SET revoked_at = keystead_now() WHERE user_id = $1::text::uuid",
    "expired": "UPDATE api_keys SET expires_at = keystead_now() WHERE user_id = $1::text::uuid",
    "deleted": "DELETE FROM api_keys WHERE user_id = $1::text::uuid",
    "owner disabled": "UPDATE users SET status = 'disabled' WHERE id = $1::text::uuid",
    "owner locked": "UPDATE users SET status = 'locked' WHERE id = $1::text::uuid",
    "application gone": "UPDATE api_keys SET client_id = 'gone' WHERE user_id = $1::text::uuid",
}


@pytest.mark.parametrize("ending", KEY_ENDINGS)
async def test_asvs_v5_8_3_2_a_key_that_ended_or_whose_owner_may_not_sign_in_may_do_nothing_on_any_route(
    service, ending
):
    owner, headers = await key_of_an_admin(service)
    await service.sql(KEY_ENDINGS[ending], owner.id)
    person = await register(service.client)
    for route in (route for route in ROUTES if route.needs_identity):
        request = await good(service, route, person, person)
        answer = await send_good(service, route, request, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), name_of(route)


ENDINGS = {
    "revoked": "UPDATE service_keys SET revoked_at = keystead_now() WHERE account_id = $1::text::uuid",
    "expired": "UPDATE service_keys SET expires_at = keystead_now() WHERE account_id = $1::text::uuid",
    "disabled": "UPDATE service_accounts SET disabled_at = keystead_now() WHERE id = $1::text::uuid",
    "deleted": "DELETE FROM service_accounts WHERE id = $1::text::uuid",
}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_asvs_v5_8_3_2_a_machine_that_ended_may_do_nothing_on_any_route_with_the_token_that_it_has(
    service, ending
):
    machine = await make_service_account(service.core, roles=("admin", "user"))
    headers, person = await machine_bearer(service.client, machine), await register(service.client)
    await service.sql(ENDINGS[ending], machine.client_id)
    asking = [route for route in ROUTES if route.needs_identity]
    assert len(asking) > 40
    for route in asking:
        request = await good(service, route, person, person)
        answer = await send_good(service, route, request, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized"), name_of(route)
    for path in ("/api/v1/auth/token/introspect", "/api/v1/auth/token/revoke"):
        answer = await service.client.post(path, data={"token": person.access_token}, headers=headers)
        assert answer.status_code == 401
    assert (await get_token(service.client, machine)).status_code == 401
