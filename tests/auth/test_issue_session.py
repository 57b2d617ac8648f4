"""Sessions that an administrator starts in somebody's name: what they may, what they may not, and when they end."""

import base64
import json
from uuid import uuid4

import pytest

from keystead.kernel.ids import SessionId, new_uuid
from tests.contract.answers import check_problem
from tests.contract.service import login, serving
from tests.support.holders import Trail, give_role, holder_of, make_role
from tests.support.people import PASSWORD, Person, refresh, register
from tests.support.tables import contents

pytestmark = pytest.mark.anyio

TOKENS = "/api/v1/refresh_tokens"
ME = "/api/v1/users/me"


@pytest.fixture(scope="module")
async def service(cluster):
    async with serving(cluster) as made:
        yield made


async def issue(service, issuer, user_id, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await service.client.post(
        TOKENS, json={"user_id": str(user_id)}, headers={**issuer.bearer, **named}
    )


async def issued(service, issuer, person):
    """`person`, as `issuer` speaks for them."""
    answer = await issue(service, issuer, person.id)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    return Person(person.id, person.email, made["access_token"], made["refresh_token"], made["session_id"])


async def helper(service, *more):
    return await holder_of(service, "sessions:issue", *more)


def claims_of(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


async def me(service, person):
    return await service.client.get(ME, headers=person.bearer)


def bearer(token):
    return {"authorization": f"Bearer {token}"}


# --- issue


async def test_the_tokens_say_who_speaks_and_claim_no_proof(service):
    by, person = await helper(service), await register(service.client)
    trail = await Trail.from_now(service)
    speaking = await issued(service, by, person)
    assert await trail.events() == [("session.issued", by.id, person.id)]
    for token in (
        speaking.access_token,
        (await refresh(service.client, speaking.refresh_token)).json()["access_token"],
    ):
        claims = claims_of(token)
        assert (claims["sub"], claims["act"], claims["amr"]) == (person.id, {"sub": by.id}, [])
        assert "auth_time" not in claims
    shown = await me(service, speaking)
    assert (shown.status_code, shown.json()["id"]) == (200, person.id)
    listed = (await service.client.get(f"{ME}/sessions", headers=person.bearer)).json()["items"]
    assert [
        (item["actor_id"], item["auth_time"]) for item in listed if item["id"] == speaking.session_id
    ] == [(by.id, None)]


async def test_the_tokens_are_shown_once_and_stored_nowhere(service):
    by, person = await helper(service), await register(service.client)
    speaking = await issued(service, by, person)
    everything = str(await contents(service.urls))
    for token in (speaking.refresh_token, speaking.access_token):
        assert token not in everything
        assert token.encode().hex() not in everything
    shown = await service.client.get(f"{TOKENS}/{speaking.session_id}", headers=person.bearer)
    assert shown.status_code == 200
    assert not {"refresh_token", "access_token", "token"} & set(shown.json())
    assert speaking.refresh_token not in shown.text


SENSITIVE = [
    ("GET", f"{ME}/export", None),
    ("DELETE", ME, None),
    ("PUT", f"{ME}/password", {"current_password": PASSWORD, "new_password": "four tall silent lighthouses"}),
    ("PUT", f"{ME}/email", {"email": "mallory@example.com", "current_password": PASSWORD}),
    ("DELETE", f"{TOKENS}/{{other}}", None),
    ("DELETE", f"{ME}/sessions/{{other}}", None),
]


@pytest.mark.parametrize(("method", "path", "body"), SENSITIVE)
async def test_nobody_proved_anything_so_no_step_up_is_ever_satisfied(service, method, path, body):
    by, person = await helper(service), await register(service.client)
    speaking = await issued(service, by, person)
    pair = (await refresh(service.client, speaking.refresh_token)).json()
    for token in (speaking.access_token, pair["access_token"]):
        answer = await service.client.request(
            method, path.format(other=person.session_id), json=body, headers=bearer(token)
        )
        check_problem(answer, 403, "reauthentication_required")
    wrong = {"password": "not the password of anybody"}
    answer = await service.client.post("/api/v1/auth/reauthenticate", json=wrong, headers=speaking.bearer)
    check_problem(answer, 401, "invalid_credentials")


@pytest.mark.parametrize("status", ["pending", "disabled", "locked", "erased", "unknown"])
async def test_nobody_speaks_for_somebody_who_could_not_sign_in(service, status):
    by, person = await helper(service), await register(service.client)
    if status == "erased":
        assert (await service.client.delete(ME, headers=person.bearer)).status_code == 204
    elif status != "unknown":
        await service.sql("UPDATE users SET status = $2 WHERE id = $1::text::uuid", person.id, status)
    before = await contents(service.urls)
    about = uuid4() if status == "unknown" else person.id
    check_problem(await issue(service, by, about), 404, "user_not_found")
    assert await contents(service.urls) == before


@pytest.mark.parametrize(
    "more",
    [
        {"token": "abc"},
        {"expires_at": "2030-01-01T00:00:00Z"},
        {"id": "0191184a-0f0d-44ea-bd92-42ad8b2a21e4"},
        {"created_at": "2024-01-01T00:00:00Z"},
        {"auth_time": "2024-01-01T00:00:00Z"},
        {"amr": ["pwd"]},
        {"actor_id": None},
        {"user_id": None},
        {"user_id": "me"},
        {"client_id": "nobody-made-this"},
    ],
    ids=ascii,
)
async def test_what_is_the_servers_to_make_nobody_sends(service, more):
    by, person = await helper(service), await register(service.client)
    before = await contents(service.urls)
    answer = await service.client.post(TOKENS, json={"user_id": person.id, **more}, headers=by.bearer)
    body = check_problem(answer, 422, "invalid_input")
    assert [error["pointer"] for error in body["errors"]] == [f"/{name}" for name in more]
    assert await contents(service.urls) == before


async def test_a_request_that_is_sent_again_gets_the_same_session_until_that_is_used(service):
    by, person = await helper(service), await register(service.client)
    trail = await Trail.from_now(service)
    first, again = [await issue(service, by, person.id, idempotency_key="for the caller") for _ in range(2)]
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["refresh_token"] == again.json()["refresh_token"]
    assert await trail.names() == ["session.issued"]
    assert (await refresh(service.client, first.json()["refresh_token"])).status_code == 200
    late = await issue(service, by, person.id, idempotency_key="for the caller")
    check_problem(late, 404, "session_not_found")
    other = await issue(service, by, by.id, idempotency_key="for the caller")
    check_problem(other, 422, "idempotency_key_reused")


# --- no more than whoever speaks


async def test_asvs_v5_8_3_3_it_permits_what_both_may_do_and_no_more(service):
    name = await make_role(service)
    by, person = await helper(service, "roles:read"), await register(service.client)
    for role in (name, await make_role(service, "roles:read")):
        await give_role(service, person.id, role)
    speaking = await issued(service, by, person)
    assert (await service.client.get("/api/v1/roles", headers=speaking.bearer)).status_code == 200
    # What the user may do grows, and the speaker's share does not.
    root = await service.make_admin()
    changed = await service.client.put(
        f"/api/v1/roles/{name}", json={"permissions": ["health:read", "users:delete"]}, headers=root.bearer
    )
    assert changed.status_code == 200
    assert (await service.client.get("/health", headers=person.bearer)).status_code == 200
    check_problem(await service.client.get("/health", headers=speaking.bearer), 403, "forbidden")
    assert (await service.client.get("/api/v1/roles", headers=speaking.bearer)).status_code == 200


async def test_whoever_is_given_a_role_is_spoken_for_by_nobody_who_was_let_before(service):
    by, root, person = await helper(service), await service.make_admin(), await register(service.client)
    speaking = await issued(service, by, person)
    trail = await Trail.from_now(service)
    given = await service.client.put(
        f"/api/v1/users/{person.id}/roles", json={"roles": ["user", "admin"]}, headers=root.bearer
    )
    assert given.status_code == 200
    check_problem(await me(service, speaking), 401, "unauthorized")
    check_problem(await refresh(service.client, speaking.refresh_token), 401, "invalid_refresh_token")
    assert (await me(service, person)).status_code == 200
    assert await trail.events() == [
        ("role.granted", root.id, person.id),
        ("session.ended", root.id, person.id),
    ]
    check_problem(await issue(service, by, person.id), 403, "forbidden")


async def test_whoever_is_promoted_on_the_machine_is_spoken_for_by_nobody_either(service):
    by, person = await helper(service), await register(service.client)
    speaking = await issued(service, by, person)
    await service.core.accounts.bootstrap(email=person.email, password=PASSWORD)
    check_problem(await me(service, speaking), 401, "unauthorized")


@pytest.mark.parametrize("way", ["disable", "lock", "erase"])
async def test_cve_class_25_it_dies_with_the_account_of_whoever_speaks(service, way):
    by, root, person = await helper(service), await service.make_admin(), await register(service.client)
    speaking = await issued(service, by, person)
    path = f"/api/v1/users/{by.id}"
    answer = (
        await service.client.delete(path, headers=root.bearer)
        if way == "erase"
        else await service.client.post(f"{path}/{way}", headers=root.bearer)
    )
    assert answer.status_code == 204
    check_problem(await me(service, speaking), 401, "unauthorized")
    check_problem(await refresh(service.client, speaking.refresh_token), 401, "invalid_refresh_token")
    assert (await me(service, person)).status_code == 200


async def test_asvs_v5_8_3_2_it_opens_nothing_once_whoever_speaks_may_no_longer_issue(service):
    by, root, person = await helper(service), await service.make_admin(), await register(service.client)
    speaking = await issued(service, by, person)
    taken = await service.client.put(
        f"/api/v1/users/{by.id}/roles", json={"roles": ["user"]}, headers=root.bearer
    )
    assert taken.status_code == 200
    check_problem(await me(service, speaking), 401, "unauthorized")


async def test_it_is_one_of_the_users_sessions_and_ends_with_them(service):
    by, person = await helper(service), await register(service.client)
    speaking = await issued(service, by, person)
    assert (await service.client.post("/api/v1/auth/logout-all", headers=person.bearer)).status_code == 204
    check_problem(await me(service, speaking), 401, "unauthorized")


# --- show, rotate, end


async def test_a_stranger_meets_nothing_there_and_the_owner_their_session(service):
    person, stranger = await register(service.client), await register(service.client)
    reader, ender = [await holder_of(service, right) for right in ("sessions:read", "sessions:end")]
    path = f"{TOKENS}/{person.session_id}"
    for method, allowed in (("GET", reader), ("DELETE", ender)):
        for other in {stranger, reader, ender} - {allowed}:
            check_problem(
                await service.client.request(method, path, headers=other.bearer), 404, "session_not_found"
            )
        check_problem(await service.client.request(method, path), 401, "unauthorized")
    for who in (person, reader):
        shown = await service.client.get(path, headers=who.bearer)
        assert (shown.status_code, shown.json()["user_id"]) == (200, person.id)
        assert shown.json()["is_current"] is (who is person)
    assert (await service.client.delete(path, headers=ender.bearer)).status_code == 204
    check_problem(await me(service, person), 401, "unauthorized")


@pytest.mark.parametrize(
    "name", ["nonsense", "0", "", "00000000-0000-0000-0000-000000000000", "{upper}", "{braced}"]
)
async def test_another_spelling_of_an_id_is_the_id_of_nothing(service, name):
    person = await register(service.client)
    name = name.replace("{upper}", person.session_id.upper()).replace(
        "{braced}", person.session_id.replace("-", "")
    )
    for method in ("GET", "DELETE"):
        answer = await service.client.request(method, f"{TOKENS}/{name}", headers=person.bearer)
        assert answer.status_code in (404, 405)
    assert (await me(service, person)).status_code == 200


async def test_a_rotation_takes_the_sessions_own_refresh_token_and_nothing_less(service):
    person, other = await register(service.client), await register(service.client)
    path = f"{TOKENS}/{person.session_id}"
    genuine = person.refresh_token
    forged = genuine[:-1] + ("A" if genuine[-1] != "A" else "B")
    refresh_tokens = service.core.auth.refresh.refresh_tokens
    of_nobody = refresh_tokens.make(SessionId(new_uuid()), 1).reveal()
    before = await contents(service.urls)
    for token, status, code in (
        (None, 401, "unauthorized"),
        (person.access_token, 403, "refresh_token_required"),
        (other.access_token, 403, "refresh_token_required"),
        (other.refresh_token, 404, "session_not_found"),
        (of_nobody, 404, "session_not_found"),
        (forged, 401, "invalid_refresh_token"),
        ("rt_" + "A" * 72, 401, "invalid_refresh_token"),
        ("nonsense", 401, "unauthorized"),
    ):
        answer = await service.client.put(path, headers={} if token is None else bearer(token))
        check_problem(answer, status, code)
    assert await contents(service.urls) == before
    rotated = await service.client.put(path, headers=bearer(genuine))
    assert rotated.status_code == 200
    assert (await refresh(service.client, rotated.json()["refresh_token"])).status_code == 200


async def test_a_rotation_under_another_sessions_path_rotates_neither(service):
    person = await register(service.client)
    second = (await login(service.client, person.email)).json()
    before = await contents(service.urls)
    answer = await service.client.put(
        f"{TOKENS}/{person.session_id}", headers=bearer(second["refresh_token"])
    )
    check_problem(answer, 404, "session_not_found")
    assert await contents(service.urls) == before


@pytest.mark.parametrize(
    "body", ['"new_token_string"', '""', '{"token":"abc"}', "null", "[]", '{"refresh_token":"rt_x"}']
)
async def test_a_token_that_the_client_makes_is_422_whoever_sends_it(service, body):
    person = await register(service.client)
    path = f"{TOKENS}/{person.session_id}"
    before = await contents(service.urls)
    for token in (person.access_token, person.refresh_token):
        answer = await service.client.put(
            path, content=body, headers={"content-type": "application/json", **bearer(token)}
        )
        check_problem(answer, 422, "invalid_input")
    assert await contents(service.urls) == before


async def test_a_rotation_that_is_repeated_gets_the_same_token_and_a_late_one_ends_the_session(service):
    person = await register(service.client)
    path = f"{TOKENS}/{person.session_id}"
    one, two = [await service.client.put(path, headers=bearer(person.refresh_token)) for _ in range(2)]
    assert one.json()["refresh_token"] == two.json()["refresh_token"]
    await service.sql(
        "UPDATE sessions SET rotated_at = rotated_at - interval '1 hour' WHERE id = $1::text::uuid",
        person.session_id,
    )
    late = await service.client.put(path, headers=bearer(person.refresh_token))
    check_problem(late, 401, "invalid_refresh_token")
    check_problem(await me(service, person), 401, "unauthorized")
