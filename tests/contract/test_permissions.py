"""Who may call what: every route, for every kind of caller; and the documents that say so."""

import base64
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from keystead.api.rest import generate
from keystead.api.rest.catalogue import ROUTES
from keystead.api.rest.routes import Route
from keystead.jwt.keys import generate_key
from keystead.jwt.types import Algorithm, KeySpec
from keystead.kernel.caller import Access, AnyOf, OwnerOr, OwnScope, Permission
from keystead.kernel.ids import new_uuid
from tests.contract.good_requests import FORMS, GOOD, WRITING, good, name_of, send_good
from tests.contract.service import login, serving_over
from tests.jwt.forging import b64, compact, header, signer
from tests.support.people import PASSWORD, Person, new_email, refresh, register

pytestmark = pytest.mark.anyio

DOCS = Path(__file__).parents[2] / "docs"
HASH = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$" + "A" * 43


def test_asvs_v5_8_1_1_every_route_there_is_has_a_row_in_this_matrix():
    assert set(GOOD) == {name_of(route) for route in ROUTES}


@dataclass(frozen=True)
class Speaker:
    """Who sends a request: a token, and whose it is."""

    token: str | None = None
    person: Person | None = None


def access_of(person):
    return Speaker(person.access_token, person)


async def anonymous(_service):
    return Speaker()


async def user(service):
    return access_of(await register(service.client))


async def admin(service):
    return access_of(await service.make_admin())


async def refresh_token(service):
    person = await register(service.client)
    return Speaker(person.refresh_token, person)


async def expired(service):
    person = await register(service.client)
    return Speaker(signed_anew(service, person, minutes=-6), person)


async def early(service):
    person = await register(service.client)
    return Speaker(signed_anew(service, person, minutes=6), person)


async def with_status(service, person, status):
    await service.sql("UPDATE users SET status = $2 WHERE id = $1::text::uuid", person.id, status)
    return access_of(person)


async def disabled_admin(service):
    return await with_status(service, await service.make_admin(), "disabled")


async def locked_admin(service):
    return await with_status(service, await service.make_admin(), "locked")


async def unverified(service):
    """A registration whose address waits for its proof."""
    return await with_status(service, await register(service.client), "pending")


async def deleted(service):
    person = await register(service.client)
    await service.sql("DELETE FROM users WHERE id = $1::text::uuid", person.id)
    return access_of(person)


async def erased(service):
    person = await service.make_admin()
    await service.make_admin()  # so that this one is not the last
    answer = await service.client.delete("/api/v1/users/me", headers=person.bearer)
    assert answer.status_code == 204
    return access_of(person)


async def session_ended(service):
    person = await service.make_admin()
    answer = await service.client.post("/api/v1/auth/logout", headers=person.bearer)
    assert answer.status_code == 204
    return access_of(person)


async def refresh_token_of_an_ended_session(service):
    person = await register(service.client)
    answer = await service.client.post("/api/v1/auth/logout-all", headers=person.bearer)
    assert answer.status_code == 204
    return Speaker(person.refresh_token, person)


async def session_of_another(service):
    """Says in the name of an administrator what only their own sessions may say."""
    one, other = await service.make_admin(), await register(service.client)
    return Speaker(signed_anew(service, other, sub=one.id), other)


async def signed_by_another_key(service):
    person = await service.make_admin()
    key = generate_key(KeySpec(Algorithm.ES256, None))
    return Speaker(compact(header(key), read_claims(person), signer(key)), person)


async def altered(service):
    person = await register(service.client)
    head, _, signature = person.access_token.split(".")
    claims = b64(json.dumps(read_claims(person) | {"roles": ["admin"]}).encode())
    return Speaker(f"{head}.{claims}.{signature}", person)


async def nonsense(_service):
    return Speaker(secrets.token_urlsafe(48))


ACCESS = {"user": user, "admin": admin}
REFUSED = {
    function.__name__: function
    for function in (
        anonymous,
        expired,
        early,
        disabled_admin,
        locked_admin,
        unverified,
        deleted,
        erased,
        session_ended,
        refresh_token_of_an_ended_session,
        session_of_another,
        signed_by_another_key,
        altered,
        nonsense,
    )
}
CALLERS = {**ACCESS, "refresh_token": refresh_token, **REFUSED}


@pytest.fixture(scope="module")
async def refused(service):
    """Those whom nothing admits, made once: being refused changes nothing about them."""
    return {name: await make(service) for name, make in REFUSED.items()}


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


def expected(route: Route, caller: str, success: int) -> int:
    """The status that the declared requirement dictates, for a request about somebody else."""
    match route.requires:
        case Access.PUBLIC | Access.TICKET:
            return success
        case Access.SIGNED_IN | Access.SIGNED_IN_WITH_PASSWORD | Access.BEARER | OwnScope():
            return success if caller in ACCESS else 401
        case Access.REFRESH_TOKEN:
            if caller in ACCESS and "refresh_tokens" in route.path:
                return 403  # an access token must not become something that lives longer
            return success if caller == "refresh_token" else 401
        case Access.REFRESH_COOKIE | Access.CLIENT:
            return 401  # nobody here holds one
        case Access.SIGNED_IN_OR_REFRESH_TOKEN:
            # A genuine refresh token ends its session whether or not somebody was faster (RFC 7009 §2.2).
            tokens = (*ACCESS, "refresh_token", "refresh_token_of_an_ended_session")
            return success if caller in tokens else 401
        case Permission() | AnyOf():
            return success if caller == "admin" else 403 if caller in ACCESS else 401
        case OwnerOr():
            return success if caller == "admin" else 404 if caller in ACCESS else 401


async def ask(service, route, speaker, target):
    """The answer to a good request, and the status of success."""
    request = await good(service, route, speaker.person, target)
    headers = {"authorization": f"Bearer {speaker.token}"} if speaker.token else {}
    return await send_good(service, route, request, headers=headers), request.status


@pytest.mark.parametrize("caller", [*ACCESS, "refresh_token"])
@pytest.mark.parametrize("route", ROUTES, ids=name_of)
async def test_asvs_v5_8_2_1_and_cve_class_80_a_route_answers_as_its_requirement_says(service, route, caller):
    speaker = await CALLERS[caller](service)
    answer, success = await ask(service, route, speaker, await register(service.client))
    check(answer, route, caller, success)


@pytest.mark.parametrize("route", ROUTES, ids=name_of)
async def test_asvs_v5_8_2_1_a_route_admits_nobody_whose_credential_does_not_hold(
    service, person, refused, route
):
    # Some requests are about somebody who must be disabled or locked before.
    is_prepared = route.path.endswith(("/enable", "/unlock"))
    for caller, speaker in refused.items():
        target = await register(service.client) if is_prepared else person
        answer, success = await ask(service, route, speaker, target)
        check(answer, route, caller, success)


def check(answer, route, caller, success):
    wanted = expected(route, caller, success)
    assert answer.status_code == wanted, (caller, answer.text)
    codes = {
        401: {"unauthorized", "invalid_refresh_token", "invalid_client"},
        403: {"forbidden", "refresh_token_required"},
        404: {"user_not_found", "session_not_found"},
    }
    if wanted in codes and wanted != success:
        assert answer.json()["code"] in codes[wanted], caller


BY_ID = [route for route in ROUTES if isinstance(route.requires, OwnerOr)]
# Whoever writes an application decides where everybody's links lead: that takes every permission together.
NEVER_ALONE = {Permission.APPLICATIONS_WRITE}
BY_PERMISSION = [route for route in ROUTES if isinstance(route.requires, Permission | OwnerOr | AnyOf)]


@pytest.mark.parametrize("route", BY_ID, ids=name_of)
async def test_the_owner_reaches_their_own_by_id(service, route):
    owner = await register(service.client)
    answer, success = await ask(service, route, access_of(owner), owner)
    assert answer.status_code == success, answer.text


def permissions_of(route):
    requires = route.requires
    if isinstance(requires, AnyOf):
        return set(requires.permissions)
    return {requires.permission if isinstance(requires, OwnerOr) else requires}


async def holder_of(service, permissions):
    """Somebody whose only other role permits this."""
    person = await register(service.client)
    name = f"role-{secrets.token_hex(4)}"
    await service.sql(
        "INSERT INTO roles (name, permissions) VALUES ($1, $2::text[])", name, sorted(permissions)
    )
    await service.sql("UPDATE authorization_state SET version = version + 1")
    await service.sql("INSERT INTO user_roles (user_id, role) VALUES ($1::text::uuid, $2)", person.id, name)
    return access_of(person)


@pytest.mark.parametrize("route", BY_PERMISSION, ids=name_of)
async def test_a_role_that_permits_just_this_is_enough_and_one_that_permits_all_else_is_not(service, route):
    needed = permissions_of(route)
    for permission in needed:
        speaker = await holder_of(service, {permission})
        request = await good(service, route, speaker.person, await register(service.client))
        if permission in NEVER_ALONE:
            answer = await send_good(service, route, request, headers=speaker.person.bearer)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
            continue
        if permission == Permission.USERS_IMPORT:
            body = {"email": new_email(), "password_hash": HASH}
            answer = await send_good(service, route, request, headers=speaker.person.bearer, body=body)
        else:
            answer = await send_good(service, route, request, headers=speaker.person.bearer)
        assert answer.status_code == request.status, answer.text
    answer, _ = await ask(
        service, route, await holder_of(service, set(Permission) - needed), await register(service.client)
    )
    assert answer.status_code == (404 if isinstance(route.requires, OwnerOr) else 403)


@pytest.mark.parametrize("route", BY_ID, ids=name_of)
async def test_asvs_v5_8_2_2_and_cve_class_80_a_strangers_id_looks_like_one_that_nobody_has(service, route):
    stranger = await register(service.client)
    target = await register(service.client)
    before = await rows(service)
    nobody = Person(str(new_uuid()), "", "", "", str(new_uuid()))
    answers = []
    for about in (target, nobody):
        headers = {**stranger.bearer, "x-request-id": "the-same-id-for-both"}
        request = await good(service, route, stranger, about)
        answers.append(await send_good(service, route, request, headers=headers))
    one, other = answers
    assert (one.status_code, one.content) == (other.status_code, other.content)
    assert one.status_code == 404
    one_by_one = [
        sorted(each.headers.items() - {("ratelimit", each.headers.get("ratelimit"))}) for each in (one, other)
    ]
    assert one_by_one[0] == one_by_one[1]
    assert await rows(service) == before


SENSITIVE = [route for route in ROUTES if route.is_sensitive]
MAY_BE_CURRENT = "session_id"  # ending the session that one speaks in is a logout


@pytest.mark.parametrize("route", SENSITIVE, ids=name_of)
async def test_asvs_v5_7_5_1_a_sensitive_act_needs_a_proof_of_the_last_five_minutes(service, route):
    person = await service.make_admin()
    about = Person(person.id, person.email, "", "", (await register(service.client)).session_id)
    if MAY_BE_CURRENT in route.path and "users/me" in route.path:
        pair = (await login(service.client, person.email)).json()
        about = Person(person.id, person.email, "", "", pair["session_id"])
    request = await good(service, route, about, await register(service.client))
    await service.sql(
        "UPDATE sessions SET auth_time = auth_time - interval '301 seconds' WHERE id = $1::text::uuid",
        person.session_id,
    )
    # A refresh gives a new access token and no new proof.
    pair = (await refresh(service.client, person.refresh_token)).json()
    bearer = {"authorization": f"Bearer {pair['access_token']}"}
    before = await rows(service)
    answer = await send_good(service, route, request, headers=bearer)
    assert (answer.status_code, answer.json()["code"]) == (403, "reauthentication_required"), answer.text
    assert await rows(service) == before

    again = await service.client.post(
        "/api/v1/auth/reauthenticate", json={"password": PASSWORD}, headers=bearer
    )
    bearer = {"authorization": f"Bearer {again.json()['access_token']}"}
    answer = await send_good(service, route, request, headers=bearer)
    assert answer.status_code == request.status, answer.text


@pytest.mark.parametrize("caller", [name for name in REFUSED if name != "anonymous"])
async def test_asvs_v5_9_1_1_every_token_that_does_not_hold_gets_the_same_answer(service, caller):
    answer = await service.client.get(
        "/api/v1/users/me", headers={"authorization": f"Bearer {(await REFUSED[caller](service)).token}"}
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


async def test_asvs_v5_8_3_2_what_a_role_permits_changes_for_tokens_already_issued_on_every_worker(
    service, cluster
):
    root = await service.make_admin()
    name = f"role-{secrets.token_hex(4)}"
    made = await service.client.post(
        "/api/v1/roles", json={"name": name, "permissions": []}, headers=root.bearer
    )
    assert made.status_code == 201
    person = await register(service.client)
    path = f"/api/v1/users/{person.id}/roles"
    given = await service.client.put(path, json={"roles": ["user", name]}, headers=root.bearer)
    assert given.json()["roles"] == [name, "user"]
    async with serving_over(service.urls) as another:
        for permissions, status in ((["health:read"], 200), ([], 403), (["health:read"], 200)):
            changed = await service.client.put(
                f"/api/v1/roles/{name}", json={"permissions": permissions}, headers=root.bearer
            )
            assert changed.status_code == 200
            for worker in (service, another):
                answer = await worker.client.get("/health", headers=person.bearer)
                assert answer.status_code == status
        gone = await service.client.delete(f"/api/v1/roles/{name}", headers=root.bearer)
        assert gone.status_code == 204
        for worker in (service, another):
            assert (await worker.client.get("/health", headers=person.bearer)).status_code == 403


# What no body sets. Where a route takes one of these names, it is that route's own, and left out.
NAMES = """
    id user_id tenant_id role roles scope permissions is_admin status is_active locked_until mfa app_metadata
    email_verified email_verified_at created_at updated_at password_hash password_version token_version
    session_id sid auth_time client_id act epoch version email_index token expires_at
"""
SERVER_OWNED = dict.fromkeys(NAMES.split(), "admin")


# A client of OAuth may send what we do not know (RFC 6749 §3.2): it is ignored there, and these routes make no row.
STRICT = [route for route in (*WRITING, *FORMS) if not route.speaks_oauth]


@pytest.mark.parametrize("route", STRICT, ids=name_of)
async def test_asvs_v5_8_2_3_and_cve_class_77_what_the_server_owns_no_client_sets(service, admin, route):
    person = await register(service.client)
    request = await good(service, route, admin, person)
    owned = {name: value for name, value in SERVER_OWNED.items() if name not in fields_of(route)}
    base = request.json or ({"refresh_token": "rt_of_nothing"} if "refresh_token" in fields_of(route) else {})
    before = await rows(service)
    bearer = admin.bearer if route.needs_identity else {}
    answer = await send_good(service, route, request, headers=bearer, body=base | owned)
    assert answer.status_code == 422
    assert {(error["pointer"], error["code"]) for error in answer.json()["errors"]} == {
        (f"/{name}", "unknown_field") for name in owned
    }
    for name, value in owned.items():
        answer = await send_good(service, route, request, headers=bearer, body=base | {name: value})
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, f"/{name}")
    assert await rows(service) == before


def fields_of(route):
    return {field.encode_name for field in msgspec.structs.fields(route.body)}


def test_what_a_route_takes_of_the_servers_names_is_decided_here():
    """A field that joins a body is looked at by somebody."""
    taken = {
        name_of(route): fields_of(route) & set(SERVER_OWNED)
        for route in WRITING
        if fields_of(route) & set(SERVER_OWNED)
    }
    assert taken == {
        "POST /api/v1/applications": {"client_id"},
        "POST /api/v1/service-accounts": {"roles"},
        "POST /api/v1/auth/register": {"client_id"},
        "POST /api/v1/auth/login": {"client_id"},
        "POST /api/v1/auth/password/forgot": {"client_id"},
        "POST /api/v1/auth/password/reset": {"token"},
        "POST /api/v1/auth/email/verify": {"token"},
        "POST /api/v1/auth/email/resend": {"client_id"},
        "POST /api/v1/auth/email/change": {"token"},
        "POST /api/v1/auth/invitation/accept": {"token"},
        "POST /api/v1/auth/unlock": {"token"},
        "POST /api/v1/users": {"id", "password_hash", "app_metadata", "created_at", "updated_at"},
        "POST /api/v1/invitations": {"roles", "client_id"},
        "PUT /api/v1/users/{user_id}": {"app_metadata"},
        "PATCH /api/v1/users/{user_id}": {"app_metadata"},
        "PATCH /api/v1/service-accounts/{account_id}": {"roles"},
        "PUT /api/v1/users/{user_id}/roles": {"roles"},
        "POST /api/v1/refresh_tokens": {"user_id", "client_id"},
        "POST /api/v1/roles": {"permissions"},
        "PUT /api/v1/roles/{name}": {"permissions"},
    }


async def test_an_owner_does_not_set_what_applications_keep_about_them(service):
    person = await register(service.client)
    path = f"/api/v1/users/{person.id}"
    for method in ("PUT", "PATCH"):
        answer = await service.client.request(
            method, path, json={"app_metadata": {"plan": "gold"}}, headers=person.bearer
        )
        assert answer.status_code == 422
        assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [
            ("/app_metadata", "unknown_field")
        ]


async def rows(service):
    """What such a request could have changed: how many rows there are, and the last transaction that wrote one."""
    return [
        tuple((await service.sql(f"SELECT count(*), max(xmin::text::bigint) FROM {table}"))[0])
        for table in (
            "users",
            "sessions",
            "user_roles",
            "roles",
            "tickets",
            "mails",
            "mail_requests",
            "data_keys",
        )
    ]


async def test_cve_class_76_a_body_never_stands_in_for_the_missing_session(service):
    person = await register(service.client)
    for owner in ("id", "user_id", "userId", "sub", "email"):
        answer = await service.client.put("/api/v1/users/me", json={owner: person.id, "full_name": "Mallory"})
        assert answer.status_code == 401
    answer = await login(service.client, person.email)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "name",
    ["openapi.json", "configuration.md", "permissions.md", "limit-rules.md", "api.md", "errors.md"],
)
def test_asvs_v5_8_1_1_the_committed_documents_are_those_that_the_code_generates(name, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["generate", str(tmp_path)])
    generate.main()
    assert (tmp_path / name).read_text("utf-8") == (DOCS / name).read_text("utf-8")


def test_the_permission_document_names_every_route_with_its_requirement():
    text = (DOCS / "permissions.md").read_text("utf-8")
    for route in ROUTES:
        fresh = "yes" if route.is_sensitive else ""
        assert f"| `{name_of(route)}` | `{route.requires}` | {fresh} |" in text
