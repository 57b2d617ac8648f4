"""The specification's calls 1 to 18, word for word, in both profiles."""

import re
from uuid import UUID, uuid4

import jwt
import pytest
from argon2 import PasswordHasher

from tests.contract.service import PRODUCTION, login, serving
from tests.support.people import PASSWORD, Person, make_user, new_email

pytestmark = pytest.mark.anyio

REGISTER = '{"email":"user@example.com","password":"SecurePassword123!","full_name":"John Doe"}'
LOGIN = '{"email":"user@example.com","password":"SecurePassword123!"}'
CHANGE = '{"full_name":"Jane Doe","preferences":{"theme":"dark","notifications":true}}'

TOKEN_PAIR = {
    "access_token",
    "token_type",
    "expires_in",
    "refresh_token",
    "refresh_expires_in",
    "session_id",
}
USER = {
    "id",
    "email",
    "email_verified",
    "full_name",
    "status",
    "preferences",
    "created_at",
    "updated_at",
}
ME = USER | {"roles"}
CLAIMS = {
    *("iss", "sub", "aud", "client_id", "exp", "iat", "jti"),
    *("sid", "auth_time", "amr", "roles", "scope"),
}
PROBLEM = {"type", "title", "status", "code", "request_id"}
RFC_3339_UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


@pytest.fixture
async def development(cluster):
    async with serving(
        cluster, ENV="development", AUTH__ARGON2__MEMORY_KIB="19456", AUTH__ARGON2__ITERATIONS="2"
    ) as made:
        yield made


@pytest.fixture
async def production(cluster):
    async with serving(cluster, **PRODUCTION) as made:
        yield made


@pytest.fixture(params=["development", "production"])
def either(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
async def lasting_development(cluster):
    async with serving(
        cluster, ENV="development", AUTH__ARGON2__MEMORY_KIB="19456", AUTH__ARGON2__ITERATIONS="2"
    ) as made:
        yield made


@pytest.fixture(scope="module")
async def lasting_production(cluster):
    async with serving(cluster, **PRODUCTION) as made:
        yield made


@pytest.fixture(params=["lasting_development", "lasting_production"])
def both(request):
    """As `either`, for calls that do not mind who was there before."""
    return request.getfixturevalue(request.param)


async def post(service, path, body):
    return await service.client.post(path, content=body, headers={"content-type": "application/json"})


def check_pair(pair):
    """The token pair of the contract, with the default lifetimes."""
    assert pair["token_type"] == "Bearer"
    assert (pair["expires_in"], pair["refresh_expires_in"]) == (300, 14 * 86400)
    assert pair["access_token"].count(".") == 2
    assert pair["refresh_token"].startswith("rt_")
    assert UUID(pair["session_id"]).version == 7


async def test_call_1_live(either):
    answer = await either.client.get("/health/live")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_call_2_ready(either):
    answer = await either.client.get("/health/ready")
    assert (answer.status_code, answer.json()) == (
        200,
        {"status": "degraded"},
    )  # no Redis in this process's tests


async def test_call_3_health_with_and_without_an_admins_token(either):
    refused = await either.client.get("/health")
    assert (refused.status_code, set(refused.json())) == (401, PROBLEM)

    answer = await either.client.get("/health", headers=(await either.make_admin()).bearer)
    assert answer.status_code == 200
    report = answer.json()
    assert set(report) == {"status", "version", "parts"}
    assert set(report["parts"]) == {"postgresql", "redis", "keys"}
    assert all(set(part) == {"status", "latency_ms", "version"} for part in report["parts"].values())


async def test_calls_4_to_8_in_development(development):
    registered = await post(development, "/api/v1/auth/register", REGISTER)
    assert registered.status_code == 201
    assert set(registered.json()) == TOKEN_PAIR | {"status", "user"}
    assert set(registered.json()["user"]) == USER
    assert registered.json()["status"] == "active"
    check_pair(registered.json())

    await walk_calls_5_to_8(development, is_verified=False)

    again = await post(development, "/api/v1/auth/register", REGISTER)
    assert (again.status_code, again.json()["code"]) == (409, "email_taken")
    assert set(again.json()) == PROBLEM


async def test_calls_4_to_8_in_production(production):
    registered = await post(production, "/api/v1/auth/register", REGISTER)
    assert (registered.status_code, registered.json()) == (202, {"status": "verification_required"})

    early = await post(production, "/api/v1/auth/login", LOGIN)
    assert (early.status_code, early.json()["code"]) == (403, "email_unverified")
    assert set(early.json()) == PROBLEM

    await production.core.accounts.verify_user(email="user@example.com")
    await walk_calls_5_to_8(production, is_verified=True)


async def walk_calls_5_to_8(service, *, is_verified):
    signed_in = await post(service, "/api/v1/auth/login", LOGIN)
    assert (signed_in.status_code, set(signed_in.json())) == (200, TOKEN_PAIR)
    check_pair(signed_in.json())

    bearer = {"authorization": f"Bearer {signed_in.json()['refresh_token']}"}
    refreshed = await service.client.post("/api/v1/auth/refresh", headers=bearer)
    assert (refreshed.status_code, set(refreshed.json())) == (200, TOKEN_PAIR)
    check_pair(refreshed.json())
    assert refreshed.json()["session_id"] == signed_in.json()["session_id"]
    assert refreshed.json()["refresh_token"] != signed_in.json()["refresh_token"]

    bearer = {"authorization": f"Bearer {refreshed.json()['access_token']}"}
    shown = await service.client.get("/api/v1/users/me", headers=bearer)
    assert (shown.status_code, set(shown.json())) == (200, ME)
    assert UUID(shown.json()["id"]).version == 7
    assert RFC_3339_UTC.fullmatch(shown.json()["created_at"])
    assert {name: shown.json()[name] for name in ("email", "email_verified", "full_name", "roles")} == {
        "email": "user@example.com",
        "email_verified": is_verified,
        "full_name": "John Doe",
        "roles": ["user"],
    }

    changed = await service.client.put(
        "/api/v1/users/me", content=CHANGE, headers=bearer | {"content-type": "application/json"}
    )
    assert (changed.status_code, set(changed.json())) == (200, ME)
    assert changed.json() == shown.json() | {
        "full_name": "Jane Doe",
        "preferences": {"theme": "dark", "notifications": True},
        "updated_at": changed.json()["updated_at"],
    }
    assert (await service.client.get("/api/v1/users/me", headers=bearer)).json() == changed.json()


# What an import may give: a hash that another system made of PASSWORD.
HASH = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1).hash(PASSWORD)
IMPORT = (
    '{{"id":"{id}","email":"{email}","password_hash":"{hash}","full_name":"John Doe",'
    '"preferences":null,"created_at":"2024-01-01T00:00:00Z","updated_at":"2024-01-01T00:00:00Z"}}'
)
ISSUE = (
    '{{"id":"{id}","user_id":"{user_id}","token":"abc","expires_at":"2024-01-01T00:00:00Z",'
    '"created_at":"2024-01-01T00:00:00Z"}}'
)
ACCOUNT = USER | {"app_metadata", "roles"}
SESSION = {
    *("id", "user_id", "client_id", "device", "auth_methods", "auth_time", "actor_id"),
    *("created_at", "last_seen_at", "expires_at", "is_current"),
}


async def person_of(service):
    """An active account, signed in, in whichever profile."""
    email = new_email()
    user_id = await make_user(service.core, email, full_name="John Doe")
    pair = (await login(service.client, email)).json()
    return Person(str(user_id), email, pair["access_token"], pair["refresh_token"], pair["session_id"])


async def send_text(service, method, path, content, bearer=None):
    headers = {"content-type": "application/json"} | (bearer or {})
    return await service.client.request(method, path, content=content, headers=headers)


async def test_calls_9_and_10_import(both):
    user_id, email = str(uuid4()), new_email()
    body = IMPORT.format(id=user_id, email=email, hash=HASH)
    refused = await send_text(both, "POST", "/api/v1/users", body)
    assert (refused.status_code, set(refused.json())) == (401, PROBLEM)

    root = await both.make_admin()
    made = await send_text(both, "POST", "/api/v1/users", body, root.bearer)
    assert (made.status_code, set(made.json())) == (201, ACCOUNT)
    assert made.json()["id"] == user_id
    assert made.json()["created_at"] == made.json()["updated_at"] == "2024-01-01T00:00:00Z"
    assert made.json()["preferences"] == {}
    assert (await login(both.client, email)).status_code == 200

    again = await send_text(both, "POST", "/api/v1/users", body, root.bearer)
    assert (again.status_code, again.json()["code"]) == (409, "id_taken")


async def test_call_11_a_user_by_id(both):
    owner, stranger = await person_of(both), await person_of(both)
    path = f"/api/v1/users/{owner.id}"
    shown = await both.client.get(path, headers=owner.bearer)
    assert (shown.status_code, set(shown.json())) == (200, ACCOUNT)
    hidden = await both.client.get(path, headers=stranger.bearer)
    assert (hidden.status_code, hidden.json()["code"]) == (404, "user_not_found")
    assert (await both.client.get(path)).status_code == 401


async def test_call_12_a_bare_string_is_the_new_name(both):
    owner = await person_of(both)
    changed = await send_text(both, "PUT", f"/api/v1/users/{owner.id}", '"Jane Doe"', owner.bearer)
    assert (changed.status_code, changed.json()["full_name"]) == (200, "Jane Doe")


async def test_call_13_deletion_needs_a_fresh_proof(both):
    owner = await person_of(both)
    path = f"/api/v1/users/{owner.id}"
    await both.sql(
        "UPDATE sessions SET auth_time = auth_time - interval '6 minutes' WHERE user_id = $1::text::uuid",
        owner.id,
    )
    refused = await both.client.delete(path, headers=owner.bearer)
    assert (refused.status_code, refused.json()["code"]) == (403, "reauthentication_required")
    pair = (await login(both.client, owner.email)).json()
    fresh = {"authorization": f"Bearer {pair['access_token']}"}
    assert (await both.client.delete(path, headers=fresh)).status_code == 204
    assert (await both.client.get(path, headers=fresh)).status_code == 401


async def test_calls_14_and_15_a_session_in_somebodys_name(both):
    owner, root = await person_of(both), await both.make_admin()
    path = "/api/v1/refresh_tokens"
    body = ISSUE.format(id=uuid4(), user_id=owner.id)
    assert (await send_text(both, "POST", path, body)).status_code == 401
    refused = await send_text(both, "POST", path, body, root.bearer)
    assert refused.status_code == 422
    assert {error["pointer"] for error in refused.json()["errors"]} >= {
        "/token",
        "/expires_at",
        "/created_at",
    }

    made = await send_text(both, "POST", path, f'{{"user_id":"{owner.id}"}}', root.bearer)
    assert (made.status_code, set(made.json())) == (201, TOKEN_PAIR | {"id", "user_id"})
    claims = jwt.decode(made.json()["access_token"], options={"verify_signature": False})
    assert (claims["sub"], claims["act"]) == (owner.id, {"sub": root.id})
    assert "auth_time" not in claims


async def test_calls_16_to_18_a_refresh_token_by_id(both):
    owner = await person_of(both)
    path = f"/api/v1/refresh_tokens/{owner.session_id}"
    assert (await both.client.get(path)).status_code == 401
    shown = await both.client.get(path, headers=owner.bearer)
    assert (shown.status_code, set(shown.json())) == (200, SESSION)
    assert owner.refresh_token not in shown.text

    assert (await send_text(both, "PUT", path, '"new_token_string"')).status_code == 401
    refused = await send_text(both, "PUT", path, '"new_token_string"', owner.bearer)
    assert refused.status_code == 422
    alone = await both.client.put(path, headers=owner.bearer)
    assert (alone.status_code, alone.json()["code"]) == (403, "refresh_token_required")
    own = {"authorization": f"Bearer {owner.refresh_token}"}
    rotated = await both.client.put(path, headers=own)
    assert (rotated.status_code, set(rotated.json())) == (200, TOKEN_PAIR)

    assert (await both.client.delete(path)).status_code == 401
    assert (await both.client.delete(path, headers=owner.bearer)).status_code == 204
    assert (await both.client.get(path, headers=owner.bearer)).status_code == 401


async def test_asvs_v5_6_3_2_a_fresh_installation_has_no_account(production):
    assert [tuple(row) for row in await production.sql("SELECT count(*) FROM users")] == [(0,)]
    refused = await post(production, "/api/v1/auth/login", LOGIN)
    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_credentials")


async def test_asvs_v5_9_1_3_any_library_verifies_an_access_token_with_what_is_published(production):
    admin = await production.make_admin()
    metadata = (await production.client.get("/.well-known/openid-configuration")).json()
    assert metadata["issuer"] == "https://id.example"
    assert metadata["jwks_uri"] == "https://id.example/.well-known/jwks.json"

    keys = (await production.client.get("/.well-known/jwks.json")).json()
    kid = jwt.get_unverified_header(admin.access_token)["kid"]
    claims = jwt.decode(
        admin.access_token,
        jwt.PyJWKSet.from_dict(keys)[kid],
        algorithms=["RS256"],
        audience="https://id.example",
        issuer=metadata["issuer"],
        options={"require": ["exp", "iat", "sub", "jti"]},
    )
    assert set(claims) == CLAIMS
    assert (claims["sub"], claims["sid"]) == (admin.id, admin.session_id)
    assert (claims["roles"], claims["amr"], claims["client_id"]) == (["admin", "user"], ["pwd"], "default")
