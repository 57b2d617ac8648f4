"""For every route, a request that it answers with success for whoever may send it."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from keystead.api.rest.catalogue import ROUTES
from keystead.api.rest.routes import FORM, Route
from keystead.kernel.ids import new_uuid
from tests.support import machines, tickets
from tests.support.people import PASSWORD, Person, new_email, register

NEW_PASSWORD = "another password that is long enough"


@dataclass(frozen=True)
class Good:
    """What to send to a route, and the status of its answer."""

    status: int = 200
    json: Any = None  # or the fields of a form
    names: dict[str, str] = field(default_factory=dict)  # in the path


# `speaker` sends it (None: nobody knows who), about `target`.
Builder = Callable[[Any, Person | None, Person], Awaitable[Good]]


def name_of(route: Route) -> str:
    return f"{route.method} {route.path}"


def always(status: int = 200, json: Any = None, **names: str) -> Builder:
    async def build(_service, _speaker, _target):
        return Good(status, json, names)

    return build


def about_target(status: int = 200, json: Any = None) -> Builder:
    async def build(_service, _speaker, target):
        return Good(status, json, {"user_id": target.id, "session_id": target.session_id})

    return build


def about_own(status: int = 200, json: Any = None) -> Builder:
    """With the ids of whoever sends it."""

    async def build(_service, speaker, target):
        person = speaker or target
        return Good(status, json, {"user_id": person.id, "session_id": person.session_id})

    return build


async def of_register(_service, _speaker, _target):
    return Good(201, {"email": new_email(), "password": PASSWORD, "full_name": "John Doe"})


async def of_login(_service, _speaker, target):
    return Good(200, {"email": target.email, "password": PASSWORD})


async def of_address(_service, _speaker, target):
    return Good(202, {"email": target.email})


async def of_reset(service, _speaker, target):
    token = await tickets.reset_ticket(service.core, (await register(service.client)).id)
    return Good(204, {"token": token, "password": NEW_PASSWORD})


async def of_verify(service, _speaker, _target):
    person = await register(service.client)
    return Good(204, {"token": await tickets.verify_ticket(service.core, person.id)})


async def of_email_change(service, _speaker, _target):
    person = await register(service.client)
    return Good(204, {"token": await tickets.change_email_ticket(service.core, person.id)})


async def of_acceptance(service, _speaker, _target):
    token = await tickets.invitation_ticket(service.core)
    return Good(204, {"token": token, "password": NEW_PASSWORD, "full_name": "Jane Doe"})


async def of_unlock(service, _speaker, _target):
    person = await register(service.client)
    return Good(204, {"token": await tickets.unlock_ticket(service.core, person.id)})


async def of_new_user(_service, _speaker, _target):
    return Good(201, {"email": new_email(), "password": PASSWORD, "full_name": "John Doe"})


async def of_invitation(_service, _speaker, _target):
    return Good(201, {"email": new_email()})


async def of_own_email(_service, _speaker, _target):
    return Good(202, {"email": new_email(), "current_password": PASSWORD})


async def of_enable(service, _speaker, target):
    await service.disable(target)
    return Good(204, names={"user_id": target.id})


async def of_unlock_by_admin(service, _speaker, target):
    await service.sql("UPDATE users SET status = 'locked' WHERE id = $1::text::uuid", target.id)
    return Good(204, names={"user_id": target.id})


async def of_issue(_service, _speaker, target):
    return Good(201, {"user_id": target.id})


async def of_role(service, *, status=200, json=None):
    name = f"role-{secrets.token_hex(4)}"
    await service.sql("INSERT INTO roles (name, permissions) VALUES ($1, '{}')", name)
    return Good(status, json, {"name": name})


async def of_new_role(_service, _speaker, _target):
    return Good(201, {"name": f"role-{secrets.token_hex(4)}", "description": "d", "permissions": []})


async def of_shown_role(service, _speaker, _target):
    return await of_role(service)


async def of_changed_role(service, _speaker, _target):
    return await of_role(service, json={"description": "e", "permissions": []})


async def of_deleted_role(service, _speaker, _target):
    return await of_role(service, status=204)


async def of_new_application(_service, _speaker, _target):
    return Good(201, {"client_id": f"app-{secrets.token_hex(4)}"})


def of_application(status=200, json=None) -> Builder:
    async def build(service, _speaker, _target):
        client_id = f"app-{secrets.token_hex(4)}"
        await service.sql("INSERT INTO applications (client_id, definition) VALUES ($1, '{}')", client_id)
        return Good(status, json, {"client_id": client_id})

    return build


async def of_new_network(_service, _speaker, _target):
    return Good(
        201,
        {
            "network": f"2001:{secrets.token_hex(2)}:{secrets.token_hex(2)}::/48",
            "verdict": "denied",
            "ttl_secs": 60,
        },
    )


async def of_network(service, _speaker, _target):
    network_id = new_uuid()
    await service.sql(
        "INSERT INTO networks (id, network, verdict, because) VALUES ($1, $2::text::cidr, 'denied', '')",
        network_id,
        f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::/64",
    )
    return Good(204, names={"network_id": str(network_id)})


async def of_new_service_account(_service, _speaker, _target):
    return Good(201, {"name": f"job-{secrets.token_hex(4)}", "roles": ["user"]})


def of_service_account(status=200, json=None) -> Builder:
    async def build(service, _speaker, _target):
        made = await machines.make_service_account(service.core)
        return Good(status, json, {"account_id": made.client_id, "key_id": made.key_id})

    return build


def of_api_key(status=200, json=None, *, own=True) -> Builder:
    async def build(service, speaker, target):
        person = (speaker or target) if own else target
        key_id = await machines.insert_api_key(service, person.id)
        return Good(status, json, {"user_id": person.id, "key_id": key_id})

    return build


def page_of(make_token, form=None) -> Builder:
    """The page behind a mailed link."""

    async def build(service, _speaker, _target):
        person = await register(service.client)
        token = await make_token(service.core, person.id)
        return Good(200, form, {"token": token})

    return build


async def invitation_of_anybody(core, _user_id):
    return await tickets.invitation_ticket(core)


GOOD: dict[str, Builder] = {
    "GET /health/live": always(),
    "GET /health/ready": always(),
    "GET /health": always(),
    "POST /api/v1/auth/register": of_register,
    "POST /api/v1/auth/login": of_login,
    "POST /api/v1/auth/refresh": always(),
    "POST /api/v1/auth/logout": always(204),
    "POST /api/v1/auth/logout-all": always(204),
    "POST /api/v1/auth/reauthenticate": always(json={"password": PASSWORD}),
    "GET /api/v1/auth/policy": always(),
    "GET /api/v1/auth/csrf": always(),
    "POST /api/v1/auth/password/forgot": of_address,
    "POST /api/v1/auth/password/reset": of_reset,
    "POST /api/v1/auth/email/verify": of_verify,
    "POST /api/v1/auth/email/resend": of_address,
    "POST /api/v1/auth/email/change": of_email_change,
    "POST /api/v1/auth/invitation/accept": of_acceptance,
    "POST /api/v1/auth/unlock": of_unlock,
    "GET /api/v1/users/me": always(),
    "PUT /api/v1/users/me": always(json={"full_name": "Jane Doe", "preferences": {}}),
    "PATCH /api/v1/users/me": always(json={"full_name": "Jane Doe", "preferences": {}}),
    "DELETE /api/v1/users/me": always(204),
    "GET /api/v1/users/me/export": always(),
    "PUT /api/v1/users/me/password": always(
        204, {"current_password": PASSWORD, "new_password": NEW_PASSWORD, "end_other_sessions": False}
    ),
    "PUT /api/v1/users/me/email": of_own_email,
    "GET /api/v1/users/me/sessions": always(),
    "DELETE /api/v1/users/me/sessions/{session_id}": about_own(204),
    "POST /api/v1/users": of_new_user,
    "GET /api/v1/users": always(),
    "POST /api/v1/invitations": of_invitation,
    "GET /api/v1/users/{user_id}": about_target(),
    "PUT /api/v1/users/{user_id}": about_target(json={"full_name": "Jane Doe", "preferences": {}}),
    "PATCH /api/v1/users/{user_id}": about_target(json={"full_name": "Jane Doe", "preferences": {}}),
    "DELETE /api/v1/users/{user_id}": about_target(204),
    "POST /api/v1/users/{user_id}/disable": about_target(204),
    "POST /api/v1/users/{user_id}/enable": of_enable,
    "POST /api/v1/users/{user_id}/lock": about_target(204),
    "POST /api/v1/users/{user_id}/unlock": of_unlock_by_admin,
    "POST /api/v1/users/{user_id}/reset": about_target(202),
    "PUT /api/v1/users/{user_id}/roles": about_target(json={"roles": ["user"]}),
    "GET /api/v1/users/{user_id}/sessions": about_target(),
    "DELETE /api/v1/users/{user_id}/sessions": about_target(),
    "DELETE /api/v1/users/{user_id}/sessions/{session_id}": about_target(204),
    "POST /api/v1/refresh_tokens": of_issue,
    "GET /api/v1/refresh_tokens/{session_id}": about_target(),
    "PUT /api/v1/refresh_tokens/{session_id}": about_own(),
    "DELETE /api/v1/refresh_tokens/{session_id}": about_target(204),
    "GET /api/v1/roles": always(),
    "POST /api/v1/roles": of_new_role,
    "GET /api/v1/roles/{name}": of_shown_role,
    "PUT /api/v1/roles/{name}": of_changed_role,
    "DELETE /api/v1/roles/{name}": of_deleted_role,
    "GET /api/v1/networks": always(),
    "POST /api/v1/networks": of_new_network,
    "DELETE /api/v1/networks/{network_id}": of_network,
    "GET /api/v1/applications": always(),
    "POST /api/v1/applications": of_new_application,
    "GET /api/v1/applications/{client_id}": of_application(),
    "PATCH /api/v1/applications/{client_id}": of_application(json={"name": "Shop"}),
    "DELETE /api/v1/applications/{client_id}": of_application(204),
    "GET /api/v1/service-accounts": always(),
    "POST /api/v1/service-accounts": of_new_service_account,
    "GET /api/v1/service-accounts/{account_id}": of_service_account(),
    "PATCH /api/v1/service-accounts/{account_id}": of_service_account(json={"description": "d"}),
    "DELETE /api/v1/service-accounts/{account_id}": of_service_account(204),
    "GET /api/v1/service-accounts/{account_id}/keys": of_service_account(),
    "POST /api/v1/service-accounts/{account_id}/keys": of_service_account(201, {}),
    "DELETE /api/v1/service-accounts/{account_id}/keys/{key_id}": of_service_account(204),
    "GET /api/v1/users/me/api-keys": always(),
    "POST /api/v1/users/me/api-keys": always(201, {"name": "laptop", "scopes": ["account:read"]}),
    "DELETE /api/v1/users/me/api-keys/{key_id}": of_api_key(204),
    "GET /api/v1/users/{user_id}/api-keys": of_api_key(own=False),
    "DELETE /api/v1/users/{user_id}/api-keys/{key_id}": of_api_key(204, own=False),
    "POST /api/v1/auth/token": always(json={"grant_type": "client_credentials"}),
    "POST /api/v1/auth/token/introspect": always(json={"token": "none of ours"}),
    "POST /api/v1/auth/token/revoke": always(json={"token": "none of ours"}),
    "GET /verify": always(204),
    "GET /verify/{token}": page_of(tickets.verify_ticket),
    "POST /verify/{token}": page_of(tickets.verify_ticket, {}),
    "GET /reset/{token}": page_of(tickets.reset_ticket),
    "POST /reset/{token}": page_of(tickets.reset_ticket, {"password": NEW_PASSWORD}),
    "GET /change-email/{token}": page_of(tickets.change_email_ticket),
    "POST /change-email/{token}": page_of(tickets.change_email_ticket, {}),
    "GET /invitation/{token}": page_of(invitation_of_anybody),
    "POST /invitation/{token}": page_of(invitation_of_anybody, {"password": NEW_PASSWORD}),
    "GET /unlock/{token}": page_of(tickets.unlock_ticket),
    "POST /unlock/{token}": page_of(tickets.unlock_ticket, {}),
    "GET /style/pages.css": always(),
    # In development only; their tests are in test_pages.py.
    "GET /dev/mail": always(404),
    "GET /dev/mail/{mail_id}": always(404, mail_id="01890000-0000-7000-8000-000000000000"),
    "GET /dev/mail/{mail_id}/html": always(404, mail_id="01890000-0000-7000-8000-000000000000"),
    "GET /.well-known/jwks.json": always(),
    "GET /.well-known/openid-configuration": always(),
    "GET /openapi.json": always(),
    "GET /docs": always(),
    "GET /docs/style.css": always(),
    "GET /docs/errors/{code}": always(code="forbidden"),
}

WRITING = [route for route in ROUTES if route.body is not None and not route.body_is_form]
FORMS = [route for route in ROUTES if route.body_is_form]


async def good(service, route: Route, speaker: Person | None, target: Person) -> Good:
    return await GOOD[name_of(route)](service, speaker, target)


def path_of(route: Route, names: dict[str, str]) -> str:
    path = route.path
    for name, value in names.items():
        path = path.replace("{" + name + "}", value)
    return path


async def send_good(service, route: Route, request: Good, *, headers: dict[str, str], body: Any = None):
    """The request, or one with another body."""
    content = request.json if body is None else body
    path = path_of(route, request.names)
    if route.body_is_form and content is not None:
        return await service.client.request(
            route.method, path, content=urlencode(content), headers={"content-type": FORM, **headers}
        )
    return await service.client.request(route.method, path, json=content, headers=headers)
