"""Who may call what: every route, for every kind of caller; and the documents that say so."""

import base64
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from keystead.api.rest import generate
from keystead.api.rest.catalogue import ROUTES
from keystead.api.rest.routes import Route
from keystead.jwt.keys import generate_key
from keystead.jwt.types import Algorithm, KeySpec
from keystead.kernel.caller import Access, Permission
from keystead.roles.types import BUILT_IN
from tests.contract.service import login
from tests.jwt.forging import b64, compact, header, signer
from tests.support.people import PASSWORD, Person, new_email, register

pytestmark = pytest.mark.anyio

DOCS = Path(__file__).parents[2] / "docs"


@dataclass(frozen=True)
class Sample:
    """A request that its route accepts from whoever may send it; `body` of somebody who has an account."""

    status: int = 200
    body: Callable[[Person], dict[str, str]] | None = None
    path: str | None = None


def register_body(_person):
    return {"email": new_email(), "password": PASSWORD, "full_name": "John Doe"}


def login_body(person):
    return {"email": person.email, "password": PASSWORD}


def profile_body(_person):
    return {"full_name": "Jane Doe"}


SAMPLES = {
    "GET /health/live": Sample(),
    "GET /health/ready": Sample(),
    "GET /health": Sample(),
    "POST /api/v1/auth/register": Sample(201, register_body),
    "POST /api/v1/auth/login": Sample(200, login_body),
    "POST /api/v1/auth/refresh": Sample(),
    "POST /api/v1/auth/logout": Sample(204),
    "POST /api/v1/auth/logout-all": Sample(204),
    "GET /api/v1/auth/policy": Sample(),
    "GET /api/v1/users/me": Sample(),
    "PUT /api/v1/users/me": Sample(200, profile_body),
    "PATCH /api/v1/users/me": Sample(200, profile_body),
    "GET /.well-known/jwks.json": Sample(),
    "GET /.well-known/openid-configuration": Sample(),
    "GET /openapi.json": Sample(),
    "GET /docs": Sample(),
    "GET /docs/style.css": Sample(),
    "GET /docs/errors/{code}": Sample(path="/docs/errors/forbidden"),
}


def name_of(route):
    return f"{route.method} {route.path}"


def test_asvs_v5_8_1_1_every_route_there_is_has_a_row_in_this_matrix():
    assert set(SAMPLES) == {name_of(route) for route in ROUTES}


async def anonymous(_service):
    return None


async def user(service):
    return (await register(service.client)).access_token


async def admin(service):
    return (await service.make_admin()).access_token


async def refresh_token(service):
    return (await register(service.client)).refresh_token


async def expired(service):
    person = await register(service.client)
    return signed_anew(service, person, minutes=-6)


async def early(service):
    person = await register(service.client)
    return signed_anew(service, person, minutes=6)


async def disabled_admin(service):
    person = await service.make_admin()
    await service.disable(person)
    return person.access_token


async def deleted(service):
    person = await register(service.client)
    await service.sql("DELETE FROM users WHERE id = $1::text::uuid", person.id)
    return person.access_token


async def pending_again(service):
    person = await register(service.client)
    await service.sql("UPDATE users SET status = 'pending' WHERE id = $1::text::uuid", person.id)
    return person.access_token


async def session_ended(service):
    person = await service.make_admin()
    answer = await service.client.post("/api/v1/auth/logout", headers=person.bearer)
    assert answer.status_code == 204
    return person.access_token


async def refresh_token_of_an_ended_session(service):
    person = await register(service.client)
    answer = await service.client.post("/api/v1/auth/logout-all", headers=person.bearer)
    assert answer.status_code == 204
    return person.refresh_token


async def session_of_another(service):
    """Says in the name of an administrator what only their own sessions may say."""
    one, other = await service.make_admin(), await register(service.client)
    return signed_anew(service, other, sub=one.id)


async def signed_by_another_key(service):
    person = await service.make_admin()
    key = generate_key(KeySpec(Algorithm.ES256, None))
    return compact(header(key), read_claims(person), signer(key))


async def altered(service):
    person = await register(service.client)
    head, _, signature = person.access_token.split(".")
    return f"{head}.{b64(json.dumps(read_claims(person) | {'roles': ['admin']}).encode())}.{signature}"


async def nonsense(_service):
    return secrets.token_urlsafe(48)


ACCESS = {"user": user, "admin": admin}
REFUSED = {
    function.__name__: function
    for function in (
        anonymous,
        expired,
        early,
        disabled_admin,
        deleted,
        pending_again,
        session_ended,
        refresh_token_of_an_ended_session,
        session_of_another,
        signed_by_another_key,
        altered,
        nonsense,
    )
}
CALLERS = {**ACCESS, "refresh_token": refresh_token, **REFUSED}


def read_claims(person):
    payload = person.access_token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def signed_anew(service, person, *, minutes=0, **changes):
    """Their access token with our own key, so many minutes from now and with other claims."""
    clock = service.core.auth.identify.clock
    key = service.core.auth.login.issue_token_pair.issuer._keyring.current(clock.now())
    claims = read_claims(person)
    times = {name: claims[name] + minutes * 60 for name in ("iat", "exp", "auth_time")}
    return compact(header(key), claims | times | changes, signer(key))


async def test_the_tokens_below_fail_for_what_is_changed_in_them_and_for_nothing_else(service):
    person = await register(service.client)
    bearer = {"authorization": f"Bearer {signed_anew(service, person)}"}
    assert (await service.client.get("/api/v1/users/me", headers=bearer)).status_code == 200


def expected(route: Route, caller: str, sample: Sample) -> int:
    """The status that the declared requirement dictates."""
    match route.requires:
        case Access.PUBLIC:
            return sample.status
        case Access.SIGNED_IN:
            return sample.status if caller in ACCESS else 401
        case Access.REFRESH_TOKEN:
            return sample.status if caller == "refresh_token" else 401
        case Access.SIGNED_IN_OR_REFRESH_TOKEN:
            # A genuine refresh token ends its session whether or not somebody was faster (RFC 7009 §2.2).
            tokens = (*ACCESS, "refresh_token", "refresh_token_of_an_ended_session")
            return sample.status if caller in tokens else 401
        case Permission() as permission:
            if caller not in ACCESS:
                return 401
            return sample.status if permission in BUILT_IN[caller] else 403


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("route", ROUTES, ids=name_of)
async def test_asvs_v5_8_2_1_and_cve_class_80_a_route_answers_as_its_requirement_says(
    service, person, route, caller
):
    sample = SAMPLES[name_of(route)]
    token = await CALLERS[caller](service)
    answer = await service.client.request(
        route.method,
        sample.path or route.path,
        json=sample.body and sample.body(person),
        headers={"authorization": f"Bearer {token}"} if token else {},
    )
    wanted = expected(route, caller, sample)
    assert answer.status_code == wanted, answer.text
    if wanted in (401, 403):
        codes = {401: {"unauthorized", "invalid_refresh_token"}, 403: {"forbidden"}}
        assert answer.json()["code"] in codes[wanted]


@pytest.mark.parametrize("caller", [name for name in REFUSED if name != "anonymous"])
async def test_asvs_v5_9_1_1_every_token_that_does_not_hold_gets_the_same_answer(service, caller):
    answer = await service.client.get(
        "/api/v1/users/me", headers={"authorization": f"Bearer {await REFUSED[caller](service)}"}
    )
    bare = await service.client.get("/api/v1/users/me")
    assert answer.status_code == bare.status_code == 401
    assert answer.json() | {"request_id": ""} == bare.json() | {"request_id": ""}


async def test_asvs_v5_8_3_2_a_role_that_was_taken_away_is_gone_from_tokens_already_issued(service):
    admin = await service.make_admin()
    assert (await service.client.get("/health", headers=admin.bearer)).status_code == 200
    await service.sql("DELETE FROM user_roles WHERE user_id = $1::text::uuid AND role = 'admin'", admin.id)
    answer = await service.client.get("/health", headers=admin.bearer)
    assert (answer.status_code, answer.json()["permission"]) == (403, "health:read")
    await service.sql("INSERT INTO user_roles (user_id, role) VALUES ($1::text::uuid, 'admin')", admin.id)
    assert (await service.client.get("/health", headers=admin.bearer)).status_code == 200


async def test_a_role_that_nobody_defined_permits_nothing(service):
    person = await register(service.client)
    await service.sql("INSERT INTO user_roles (user_id, role) VALUES ($1::text::uuid, 'Admin')", person.id)
    assert (await service.client.get("/health", headers=person.bearer)).status_code == 403


NAMES = """
    id user_id tenant_id role roles scope permissions is_admin status is_active locked_until mfa app_metadata
    email_verified email_verified_at created_at updated_at password_hash password_version token_version
    session_id sid auth_time client_id
"""
SERVER_OWNED = dict.fromkeys(NAMES.split(), "admin")


@pytest.mark.parametrize("route", [route for route in ROUTES if route.body is not None], ids=name_of)
async def test_asvs_v5_8_2_3_and_cve_class_77_what_the_server_owns_no_client_sets(service, route):
    person = await register(service.client)
    good = {
        "RegisterBody": {"email": new_email(), "password": PASSWORD},
        "LoginBody": {"email": person.email, "password": PASSWORD},
        "RefreshTokenBody": {"refresh_token": person.refresh_token},
        "ProfileBody": {"full_name": "Jane Doe"},
    }[route.body.__name__]
    before = await rows(service)
    bearer = person.bearer if route.needs_identity else {}
    answer = await service.client.request(route.method, route.path, json=good | SERVER_OWNED, headers=bearer)
    assert answer.status_code == 422
    assert {(error["pointer"], error["code"]) for error in answer.json()["errors"]} == {
        (f"/{name}", "unknown_field") for name in SERVER_OWNED
    }
    for name, value in SERVER_OWNED.items():
        answer = await service.client.request(
            route.method, route.path, json=good | {name: value}, headers=bearer
        )
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, f"/{name}")
    assert await rows(service) == before


async def rows(service):
    """Everything that such a request could have changed."""
    return [
        await service.sql(f"SELECT {table}::text FROM {table} ORDER BY 1")
        for table in ("users", "sessions", "user_roles")
    ]


async def test_cve_class_76_a_body_never_stands_in_for_the_missing_session(service):
    person = await register(service.client)
    for owner in ("id", "user_id", "userId", "sub", "email"):
        answer = await service.client.put("/api/v1/users/me", json={owner: person.id, "full_name": "Mallory"})
        assert answer.status_code == 401
    answer = await login(service.client, person.email)
    assert answer.status_code == 200


@pytest.mark.parametrize("name", ["openapi.json", "configuration.md", "permissions.md"])
def test_asvs_v5_8_1_1_the_committed_documents_are_those_that_the_code_generates(name, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["generate", str(tmp_path)])
    generate.main()
    assert (tmp_path / name).read_text("utf-8") == (DOCS / name).read_text("utf-8")


def test_the_permission_document_names_every_route_with_its_requirement():
    text = (DOCS / "permissions.md").read_text("utf-8")
    for route in ROUTES:
        assert f"| `{name_of(route)}` | `{route.requires}` |" in text
