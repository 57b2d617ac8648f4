"""Accounts as administrators manage them: made, listed, changed, closed and opened."""

import asyncio
import base64
import os
import random
import string
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from keystead.accounts.list_users import Filters
from keystead.vault import Cursors, Vault
from tests.contract.answers import check_problem
from tests.contract.service import login, serving
from tests.support.holders import Trail, give_role, holder_of, make_role
from tests.support.people import PASSWORD, make_user, new_email, refresh, register
from tests.support.tables import contents

pytestmark = pytest.mark.anyio

USERS = "/api/v1/users"
HASH = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$" + "A" * 43


@pytest.fixture(scope="module")
async def service(cluster):
    async with serving(cluster) as made:
        yield made


@pytest.fixture(scope="module")
async def root(service):
    return await service.make_admin()


async def ask(service, person, method, path, body=None, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await service.client.request(
        method, f"/api/v1{path}", json=body, headers={**person.bearer, **named}
    )


async def page(service, person, **query):
    return await service.client.get(USERS, params=query, headers=person.bearer)


async def walk(service, person, *, between=None, path=USERS, **query):
    """The ids of every page, in order; `between` runs after each page."""
    found, cursor = [], None
    while True:
        asked = query if cursor is None else query | {"cursor": cursor}
        answer = await service.client.get(path, params=asked, headers=person.bearer)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        found += [item["id"] for item in body["items"]]
        cursor = body["next_cursor"]
        if cursor is None:
            return found
        if between is not None:
            await between()


def code_of(answer, status=422):
    body = check_problem(answer, status, "invalid_input")
    return [(error["pointer"], error["code"]) for error in body["errors"]]


# --- create


async def test_a_created_user_signs_in_and_the_creator_vouches_for_the_address(service, root):
    email = new_email()
    trail = await Trail.from_now(service)
    made = await ask(
        service,
        root,
        "POST",
        "/users",
        {"email": email, "password": PASSWORD, "full_name": "Ada", "app_metadata": {"plan": "gold"}},
    )
    assert made.status_code == 201
    body = made.json()
    assert (body["email"], body["email_verified"], body["status"]) == (email, True, "active")
    assert (body["roles"], body["app_metadata"], made.headers["etag"]) == (["user"], {"plan": "gold"}, '"1"')
    assert (await login(service.client, email)).status_code == 200
    assert await trail.events() == [
        ("user.created", root.id, body["id"]),
        ("role.granted", root.id, body["id"]),
        ("session.started", body["id"], body["id"]),
    ]


async def test_a_user_without_a_password_is_opened_by_none(service, root):
    email = new_email()
    assert (await ask(service, root, "POST", "/users", {"email": email})).status_code == 201
    for guess in ("!", "", " ", "null", PASSWORD):
        assert (await login(service.client, email, guess)).status_code in (401, 422)


async def test_who_may_create_may_not_import_and_the_other_way_round(service):
    creator, importer = [await holder_of(service, right) for right in ("users:create", "users:import")]
    plain = {"email": new_email(), "password": PASSWORD}
    imports = [
        {"email": new_email(), "password_hash": HASH},
        {"email": new_email(), "id": str(uuid4())},
        {"email": new_email(), "created_at": "2024-01-01T00:00:00Z"},
        {"email": new_email(), "updated_at": "2024-01-01T00:00:00Z"},
    ]
    for body in imports:
        check_problem(await ask(service, creator, "POST", "/users", body), 403, "forbidden")
        assert (await ask(service, importer, "POST", "/users", body)).status_code == 201
    check_problem(await ask(service, importer, "POST", "/users", plain), 403, "forbidden")
    assert (await ask(service, creator, "POST", "/users", plain)).status_code == 201


@pytest.mark.parametrize(
    ("body", "errors"),
    [
        ({"email": "no address"}, ["/email"]),
        ({"email": "a@b.example", "password": "short"}, ["/password"]),
        ({"email": "a@b.example", "password": PASSWORD, "password_hash": HASH}, ["/password"]),
        ({"email": "a@b.example", "password_hash": "plain text"}, ["/password_hash"]),
        ({"email": "a@b.example", "created_at": "1969-12-31T23:59:59Z"}, ["/created_at"]),
        ({"email": "a@b.example", "created_at": "9999-12-31T23:59:59-01:00"}, ["/created_at"]),
        ({"email": "a@b.example", "updated_at": "2024-01-01T00:00:00"}, ["/updated_at"]),
        ({"email": "a@b.example", "full_name": "\x00"}, ["/full_name"]),
        (
            {"email": "no address", "full_name": "\n", "preferences": {"a": "x" * 5000}},
            ["/email", "/full_name", "/preferences"],
        ),
        ({"email": "a@b.example", "id": "not-an-id"}, ["/id"]),
    ],
    ids=lambda value: ascii(value)[:80],
)
async def test_what_no_account_can_be_made_of_is_refused_field_by_field(service, root, body, errors):
    before = await contents(service.urls)
    answer = await ask(service, root, "POST", "/users", body)
    assert sorted({pointer for pointer, _ in code_of(answer)}) == errors
    assert await contents(service.urls) == before


async def test_a_taken_address_and_a_taken_id_are_409_and_leave_nothing_behind(service, root):
    person = await register(service.client)
    before = await contents(service.urls)
    taken = await ask(service, root, "POST", "/users", {"email": person.email.upper()})
    check_problem(taken, 409, "email_taken")
    again = await ask(service, root, "POST", "/users", {"email": new_email(), "id": person.id})
    check_problem(again, 409, "id_taken")
    assert await contents(service.urls) == before


async def test_of_creations_of_one_address_at_once_one_makes_it(service, root):
    email = new_email()
    answers = await asyncio.gather(
        *(ask(service, root, "POST", "/users", {"email": email}) for _ in range(6)),
        *(
            service.client.post("/api/v1/auth/register", json={"email": email, "password": PASSWORD})
            for _ in range(3)
        ),
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 8


async def test_a_creation_that_is_sent_again_under_its_key_makes_nothing_again(service, root):
    body = {"email": new_email(), "password": PASSWORD}
    answers = await asyncio.gather(
        *(ask(service, root, "POST", "/users", body, idempotency_key="a creation") for _ in range(5))
    )
    assert {(answer.status_code, answer.json()["id"]) for answer in answers} == {
        (201, answers[0].json()["id"])
    }
    other = await ask(service, root, "POST", "/users", {"email": new_email()}, idempotency_key="a creation")
    check_problem(other, 422, "idempotency_key_reused")
    # Another caller's key of that name is another key.
    second = await service.make_admin()
    free = {"email": new_email()}
    assert (
        await ask(service, second, "POST", "/users", free, idempotency_key="a creation")
    ).status_code == 201


async def test_the_key_of_a_creation_keeps_no_password(service, root):
    secret = "a password of canaries and of nothing else"
    body = {"email": new_email(), "password": secret}
    assert (await ask(service, root, "POST", "/users", body, idempotency_key="canary")).status_code == 201
    rows = str(await contents(service.urls))
    for form in (secret, secret.encode().hex(), base64.b64encode(secret.encode()).decode()):
        assert form not in rows


# --- change, ETag


async def test_an_update_that_somebody_overtook_is_refused_and_loses_nothing(service, root):
    person = await register(service.client)
    path = f"/users/{person.id}"
    first, second = [await ask(service, root, "GET", path) for _ in range(2)]
    tag = first.headers["etag"]
    assert tag == second.headers["etag"]
    won = await ask(service, root, "PATCH", path, {"full_name": "First"}, if_match=tag)
    assert won.status_code == 200
    lost = await ask(service, root, "PATCH", path, {"full_name": "Second"}, if_match=tag)
    assert check_problem(lost, 412, "version_mismatch")["version"] == 2
    assert (await ask(service, root, "GET", path)).json()["full_name"] == "First"
    again = await ask(
        service, person, "PUT", "/users/me", {"full_name": "Third"}, if_match=won.headers["etag"]
    )
    assert (again.status_code, again.headers["etag"]) == (200, '"3"')


async def test_of_updates_of_one_version_at_once_one_is_made(service, root):
    person = await register(service.client)
    answers = await asyncio.gather(
        *(
            ask(service, by, "PATCH", path, {"preferences": {f"n{number}": 1}}, if_match='"1"')
            for number, (by, path) in enumerate([(root, f"/users/{person.id}"), (person, "/users/me")] * 5)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 9
    shown = await ask(service, root, "GET", f"/users/{person.id}")
    assert (len(shown.json()["preferences"]), shown.headers["etag"]) == (1, '"2"')


async def test_the_version_grows_with_every_change_of_the_account(service, root):
    person = await register(service.client)
    path = f"/users/{person.id}"

    async def version():
        return int((await ask(service, root, "GET", path)).headers["etag"].strip('"'))

    seen = [await version()]
    for method, way, body in (
        ("PUT", "", {"full_name": "A"}),
        ("PUT", "", {"full_name": "A"}),
        ("PATCH", "", {"app_metadata": {"a": 1}}),
        ("POST", "/lock", None),
        ("POST", "/unlock", None),
        ("POST", "/disable", None),
        ("POST", "/enable", None),
    ):
        assert (await ask(service, root, method, path + way, body)).is_success
        seen.append(await version())
    assert seen == list(range(1, 9))
    before = await contents(service.urls)
    assert (await ask(service, root, "POST", f"{path}/enable")).status_code == 204  # as it is
    assert await contents(service.urls) == before


@pytest.mark.parametrize("tag", ['"{v}"', "{v}", 'W/"{v}"', "W/{v}", ' "{v}" ', "*", '"0{v}"'])
async def test_if_match_is_also_read_as_proxies_and_simple_programs_send_it(service, person, tag):
    version = (await ask(service, person, "GET", "/users/me")).headers["etag"].strip('"')
    answer = await ask(
        service, person, "PUT", "/users/me", {"full_name": "A"}, if_match=tag.replace("{v}", version)
    )
    assert answer.status_code == 200


@pytest.fixture(scope="module")
async def person(service):
    return await register(service.client)


@pytest.mark.parametrize(
    "tag",
    [
        "",
        '""',
        '"x"',
        '"-1"',
        '"1.0"',
        '"9999999999"',
        '"1", "2"',
        '"1";q=1',
        "null",
        '"*"',
        '"\u0661"'.encode(),
    ],
)
async def test_an_if_match_that_names_no_version_is_400_and_changes_nothing(service, person, tag):
    before = await contents(service.urls)
    for path in ("/users/me", f"/users/{person.id}"):
        answer = await ask(service, person, "PUT", path, {"full_name": "B"}, if_match=tag)
        check_problem(answer, 400, "if_match_invalid")
    assert await contents(service.urls) == before


async def test_of_two_if_match_headers_none_is_believed(service, person):
    for tags in (["*", '"77"'], ['"77"', "*"], ['"1"', '"1"']):
        headers = [*person.bearer.items(), *(("if-match", tag) for tag in tags)]
        answer = await service.client.put("/api/v1/users/me", json={"full_name": "B"}, headers=headers)
        check_problem(answer, 400, "if_match_invalid")


async def test_metadata_is_for_who_may_update_users_even_ones_own(service):
    updater, other = await holder_of(service, "users:update"), await register(service.client)
    for target in (updater, other):
        answer = await ask(
            service, updater, "PATCH", f"/users/{target.id}", {"app_metadata": {"plan": "gold"}}
        )
        assert (answer.status_code, answer.json()["app_metadata"]) == (200, {"plan": "gold"})
    for owner_may_not in (f"/users/{other.id}", "/users/me"):
        answer = await ask(service, other, "PATCH", owner_may_not, {"app_metadata": {"plan": "free"}})
        assert code_of(answer) == [("/app_metadata", "unknown_field")]
    assert (await ask(service, other, "GET", f"/users/{other.id}")).json()["app_metadata"] == {"plan": "gold"}


# --- status


@pytest.mark.parametrize(("act", "status"), [("disable", "disabled"), ("lock", "locked")])
async def test_asvs_v5_7_4_2_a_closed_account_is_closed_at_once_and_told_from_nothing(
    service, root, act, status
):
    person = await register(service.client)
    trail = await Trail.from_now(service)
    assert (await ask(service, root, "POST", f"/users/{person.id}/{act}")).status_code == 204
    check_problem(await service.client.get("/api/v1/users/me", headers=person.bearer), 401, "unauthorized")
    check_problem(await refresh(service.client, person.refresh_token), 401, "invalid_refresh_token")
    check_problem(await login(service.client, person.email), 401, "invalid_credentials")
    assert await trail.events() == [
        (f"user.{status}", root.id, person.id),
        ("session.ended", root.id, person.id),
        ("login.failed", None, person.id),
    ]
    shown = (await ask(service, root, "GET", f"/users/{person.id}")).json()
    assert shown["status"] == status


@pytest.mark.parametrize(
    ("status", "act", "wanted"),
    [
        ("active", "enable", 204),
        ("active", "unlock", 204),
        ("disabled", "lock", 409),
        ("disabled", "unlock", 409),
        ("locked", "enable", 409),
        ("locked", "disable", 204),
        ("pending", "disable", 409),
        ("pending", "enable", 409),
        ("pending", "lock", 409),
        ("pending", "unlock", 409),
    ],
)
async def test_each_state_is_left_in_its_own_way(service, root, status, act, wanted):
    person = await register(service.client)
    await service.sql("UPDATE users SET status = $2 WHERE id = $1::text::uuid", person.id, status)
    answer = await ask(service, root, "POST", f"/users/{person.id}/{act}")
    assert answer.status_code == wanted
    if wanted == 409:
        assert check_problem(answer, 409, "status_mismatch")["account_status"] == status


async def test_of_acts_on_one_account_at_once_each_change_is_recorded_once(service, root):
    person = await register(service.client)
    trail = await Trail.from_now(service)
    answers = await asyncio.gather(
        *(ask(service, root, "POST", f"/users/{person.id}/disable") for _ in range(6))
    )
    assert {answer.status_code for answer in answers} == {204}
    assert await trail.names() == ["user.disabled", "session.ended"]


async def test_asvs_v5_6_4_6_an_administrator_starts_a_reset_and_never_chooses_the_password(service, root):
    person = await register(service.client)
    started = await ask(service, root, "POST", f"/users/{person.id}/reset")
    assert (started.status_code, started.content) == (202, b"")
    for body in ({"password": PASSWORD}, {"password_hash": HASH}, {"new_password": PASSWORD}):
        for method in ("PUT", "PATCH"):
            assert (
                code_of(await ask(service, root, method, f"/users/{person.id}", body))[0][1]
                == "unknown_field"
            )
    rows = await service.sql("SELECT kind FROM mails WHERE user_id = $1::text::uuid", person.id)
    assert [kind for (kind,) in rows] == ["reset_password"]


# --- listing


@pytest.fixture(scope="module")
async def crowd(cluster):
    """A service of its own with a reader and thirty users, made within a few microseconds of each other."""
    async with serving(cluster) as made:
        reader = await made.make_admin()
        ids = [await make_user(made.core, f"user-{n}@{'ab'[n % 2]}.example") for n in range(30)]
        yield made, reader, [str(each) for each in ids]


@pytest.mark.parametrize("limit", [1, 7, 30, 31, 200])
async def test_the_pages_of_a_list_hold_everybody_once_the_newest_first(crowd, limit):
    service, reader, ids = crowd
    found = await walk(service, reader, limit=limit, email_domain="a.example")
    assert found == [each for each in reversed(ids) if ids.index(each) % 2 == 0]
    assert set(ids) <= set(await walk(service, reader, limit=limit))


async def test_many_who_were_made_in_the_same_instant_are_listed_once_each(crowd):
    service, reader, _ = crowd
    moment = datetime(2001, 2, 3, tzinfo=UTC)
    same = [str(await make_user(service.core, f"{n}@instant.example")) for n in range(9)]
    await service.sql("UPDATE users SET created_at = $1 WHERE id = ANY($2::text[]::uuid[])", moment, same)
    found = await walk(service, reader, limit=2, email_domain="instant.example")
    assert (len(found), set(found)) == (9, set(same))


async def test_nobody_who_was_there_is_missed_or_met_twice_while_others_come_and_go(crowd):
    service, reader, ids = crowd
    leaving = [str(await make_user(service.core, new_email())) for _ in range(6)]

    async def between():
        await make_user(service.core, new_email())
        if leaving:
            path = f"{USERS}/{leaving.pop()}"
            assert (await service.client.delete(path, headers=reader.bearer)).status_code == 204

    found = await walk(service, reader, limit=4, between=between)
    assert len(found) == len(set(found))
    assert [each for each in found if each in ids] == list(reversed(ids))


async def test_filters_hold_together(crowd):
    service, reader, ids = crowd
    role = await make_role(service)
    for each in ids[:6]:
        await give_role(service, each, role)
    await service.sql("UPDATE users SET status = 'locked' WHERE id = ANY($1::text[]::uuid[])", ids[:3])
    try:
        assert await walk(service, reader, role=role) == ids[5::-1]
        assert await walk(service, reader, role=role, status="locked") == ids[2::-1]
        assert await walk(service, reader, role=role, status="active", email_domain="B.example") == [
            ids[5],
            ids[3],
        ]
        assert await walk(service, reader, role=role, email="USER-2@a.example") == [ids[2]]
        assert await walk(service, reader, role=role, email="user-20@a.example") == []
        assert await walk(service, reader, role="nobody-made-this") == []
        [(first,), (last,)] = await service.sql(
            "SELECT created_at FROM users WHERE id = ANY($1::text[]::uuid[]) ORDER BY created_at",
            [ids[1], ids[4]],
        )
        between = {"created_from": first.isoformat(), "created_before": last.isoformat()}
        assert await walk(service, reader, limit=1, role=role, **between) == ids[3:0:-1]
        assert (
            await walk(
                service, reader, role=role, created_from=last.isoformat(), created_before=last.isoformat()
            )
            == []
        )
    finally:
        await service.sql("UPDATE users SET status = 'active' WHERE id = ANY($1::text[]::uuid[])", ids[:3])


async def test_attempts_are_listed_when_they_are_asked_for_and_the_erased_never(crowd):
    service, reader, _ = crowd
    attempt, erased = [str(await make_user(service.core, new_email())) for _ in range(2)]
    await service.sql("UPDATE users SET status = 'pending' WHERE id = $1::text::uuid", attempt)
    assert (await service.client.delete(f"{USERS}/{erased}", headers=reader.bearer)).status_code == 204
    everybody = await walk(service, reader, limit=200)
    assert not {attempt, erased} & set(everybody)
    assert await walk(service, reader, status="pending") == [attempt]
    assert code_of(await page(service, reader, status="erased"))[0][0] == "/status"


async def a_cursor(service, reader, **query):
    cursor = (await page(service, reader, limit=2, **query)).json()["next_cursor"]
    assert cursor
    return cursor


async def test_a_cursor_of_other_filters_or_of_another_list_is_refused(crowd):
    service, reader, ids = crowd
    filters = [
        {},
        {"status": "active"},
        {"role": "user"},
        {"email_domain": "a.example"},
        {"email_domain": "b.example"},
    ]
    filters += [{"created_from": "2020-01-01T00:00:00Z"}, {"created_before": "2220-01-01T00:00:00Z"}]
    for own in filters:
        cursor = await a_cursor(service, reader, **own)
        for other in filters:
            answer = await page(service, reader, cursor=cursor, **other)
            if own == other:
                assert answer.status_code == 200
            else:
                assert code_of(answer) == [("/cursor", "cursor_invalid")]
    for _ in range(3):
        await login(service.client, reader.email)
    path = f"{USERS}/{reader.id}/sessions"
    listed = await service.client.get(path, params={"limit": 1}, headers=reader.bearer)
    for_sessions = listed.json()["next_cursor"]
    assert code_of(await page(service, reader, cursor=for_sessions)) == [("/cursor", "cursor_invalid")]
    for_users = await a_cursor(service, reader)
    for place in (path, "/api/v1/users/me/sessions", f"{USERS}/{ids[0]}/sessions"):
        answer = await service.client.get(place, params={"cursor": for_users}, headers=reader.bearer)
        assert code_of(answer) == [("/cursor", "cursor_invalid")]
    other = await service.client.get(
        f"{USERS}/{ids[0]}/sessions", params={"cursor": for_sessions}, headers=reader.bearer
    )
    assert code_of(other) == [("/cursor", "cursor_invalid")]


async def test_cve_class_79_an_altered_cursor_is_refused_whatever_was_altered(crowd):
    service, reader, _ = crowd
    chance = random.Random(79)
    for query in ({}, {"status": "active"}, {"role": "user"}):
        cursor = await a_cursor(service, reader, **query)
        alphabet = string.ascii_letters + string.digits + "-_"
        places = [*chance.sample(range(len(cursor) - 1), 20), len(cursor) - 1]
        altered = {
            cursor[:at] + each + cursor[at + 1 :] for at in places for each in chance.sample(alphabet, 2)
        }
        altered |= {cursor[:-1] + each for each in alphabet}
        altered |= {
            cursor + "=",
            cursor + "==",
            cursor + "A",
            cursor[:-1],
            cursor[1:],
            cursor * 2,
            "A" * 1024,
        }
        altered |= {cursor.replace("-", "+").replace("_", "/"), cursor + " ", " " + cursor, cursor + "\n"}
        for each in altered - {cursor}:
            assert code_of(await page(service, reader, cursor=each, **query)) == [
                ("/cursor", "cursor_invalid")
            ], each


async def test_cve_class_79_a_cursor_of_another_installation_is_refused(service, root):
    vault = service.core.accounts.list.vault
    for made_with, status in ((vault, 200), (Vault({"cursor": {1: os.urandom(32)}}), 422)):
        position = (datetime.now(UTC).isoformat(), str(uuid4()))
        cursor = Cursors(made_with).seal(f"users\0{Filters()!r}", *position)
        assert (await page(service, root, cursor=cursor)).status_code == status


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=0", 422),
        ("limit=201", 422),
        ("limit=-1", 422),
        ("limit=", 422),
        ("limit=null", 422),
        ("limit=%D9%A3", 422),
        ("limit=2147483648", 422),
        ("limit=1&limit=1", 400),
        ("status=active&status=active", 400),
        ("status=null", 422),
        ("status=", 422),
        ("role=", 422),
        ("role=%00", 422),
        ("role=%ED%A0%80", 422),
        ("email=null", 422),
        ("email=%00%40a.example", 422),
        ("email_domain=a%40b.example", 422),
        ("email_domain=.", 422),
        ("email_domain=%25", 422),
        ("email_domain=null%00", 422),
        ("cursor=", 422),
        ("cursor=null", 422),
        ("cursor=" + "A" * 1025, 422),
        ("created_from=yesterday", 422),
        ("created_from=1700000000", 422),
        ("created_from=2024-02-30T00:00:00Z", 422),
        ("created_from=2016-12-31T23:59:60Z", 422),
        ("created_from=2024-01-01T00:00:00", 422),
        ("created_from=0001-01-01T00:00:00%2B14:00", 422),
        ("created_before=9999-12-31T23:59:59-14:00", 422),
        ("created_before=9999-12-31T23:59:59Z", 200),
        ("created_from=0001-01-01T00:00:00Z", 200),
        ("sort=email", 422),
        ("offset=1", 422),
        ("password_hash=x", 422),
        ("email_index=x", 422),
        ("Limit=1", 422),
        ("limit%00=1", 422),
        ("token=x", 400),
    ],
)
async def test_a_parameter_that_is_none_stands_there_twice_or_is_not_known_is_refused(
    service, root, query, status
):
    answer = await service.client.get(f"{USERS}?{query}", headers=root.bearer)
    assert answer.status_code == status, answer.text


INJECTIONS = [
    "'", "''", "' OR '1'='1", "' OR 1=1--", "'; DROP TABLE users;--", "') OR ('1'='1", '" OR ""="',
    "1; SELECT pg_sleep(9)", "' UNION SELECT NULL,NULL--", "\\'", "%27", "$1", "$1::text", "{{7*7}}", "${7*7}", "%s",
    "%(a)s", "\\x27", "E'\\''", "admin'--", "admin/*", "*)(uid=*))(|(uid=*", "user\u2019 OR 1", "\uff07 OR 1=1",
    "a' || pg_sleep(9) || '", "\u0000'", "' AND (SELECT count(*) FROM users)>0--", "'::uuid", "NULL", "true", "[]",
    "{}", "a,b", "a\nb", "(SELECT 1)", "users",
]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["status", "role", "email", "email_domain", "created_from", "created_before", "cursor", "limit"]
)
async def test_cve_class_79_nothing_in_a_filter_is_ever_read_as_a_statement(service, root, name):
    await register(service.client)
    everybody = len((await page(service, root, limit=200)).json()["items"])
    forms = {
        form
        for text in INJECTIONS
        for form in (text, f"user{text}", f"a@b.example{text}", f"{text}@b.example")
    }
    for form in sorted(forms):
        answer = await page(service, root, **{name: form})
        assert answer.status_code in (200, 422), form
        if answer.status_code == 200:
            assert answer.json()["items"] == [], form
    assert len((await page(service, root, limit=200)).json()["items"]) == everybody


async def test_an_address_in_another_spelling_finds_its_account(service, root):
    email = f"Jos\u00e9.{new_email()}"
    person = await register(service.client, email=email)
    for spelling in (email.upper().replace("\u00c9", "\u00e9"), email.replace("\u00e9", "e\u0301")):
        assert await walk(service, root, email=spelling) == [person.id]


async def test_a_session_list_is_paged_alike_and_its_owner_sees_which_one_is_current(service):
    person = await register(service.client)
    others = [(await login(service.client, person.email)).json()["session_id"] for _ in range(4)]
    found = await walk(service, person, path="/api/v1/users/me/sessions", limit=2)
    assert found == [*reversed(others), person.session_id]
    shown = (await ask(service, person, "GET", "/users/me/sessions")).json()["items"]
    assert [item["id"] for item in shown if item["is_current"]] == [person.session_id]


async def test_nobody_below_the_permission_lists_or_reads_others(service):
    creator = await holder_of(service, "users:create", "users:update", "sessions:read", "roles:grant")
    check_problem(await page(service, creator), 403, "forbidden")
    person = await register(service.client)
    check_problem(await ask(service, creator, "GET", f"/users/{person.id}"), 404, "user_not_found")
    reader = await holder_of(service, "users:read")
    assert (await page(service, reader)).status_code == 200
    await give_role(service, person.id, await make_role(service, "users:read"))
    assert (await page(service, person)).status_code == 200
