"""The export of an account: all that is held about a person, and nothing about anybody else."""

import asyncio
import json
from collections import Counter
from datetime import datetime
from typing import Any

import asyncpg
import pytest

from tests.accounts.post import post_office
from tests.contract.answers import check_headers, check_problem
from tests.support.canaries import Canaries, Seen
from tests.support.holders import Trail, give_role, make_role
from tests.support.people import PASSWORD, Person, make_user, refresh

pytestmark = pytest.mark.anyio

ME = "/api/v1/users/me"
EXPORT = f"{ME}/export"

# Every column that names a person, and the part of the bundle where its rows stand. A new one is decided about here.
NAMING = {
    ("api_keys", "user_id"): "api_keys",
    ("audit_events", "actor_id"): None,  # what somebody does to others is about those
    ("audit_events", "subject_id"): "events",
    ("data_keys", "owner_id"): None,  # a key: it opens what is exported
    ("erasures", "user_id"): None,  # of nobody who could ask
    ("idempotency_keys", "caller_id"): "requests",
    ("mail_requests", "user_id"): "mails",
    ("networks", "created_by"): None,  # an entry is about a network; the trail says whose it was
    ("mails", "user_id"): "mails",
    ("sessions", "actor_id"): None,  # somebody else's session
    ("sessions", "user_id"): "sessions",
    ("tickets", "user_id"): "links",
    ("user_roles", "user_id"): "roles",
    ("users", "id"): "account",
}
# Columns of the type that name something else.
OTHERS = {
    ("api_keys", "id"),
    ("audit_events", "session_id"),
    ("service_account_roles", "account_id"),
    ("service_accounts", "id"),
    ("service_keys", "account_id"),
    ("service_keys", "id"),
    ("used_assertions", "account_id"),
    ("mail_requests", "id"),
    ("mail_requests", "ticket_id"),
    ("mails", "id"),
    ("networks", "id"),
    ("mails", "ticket_id"),
    ("sessions", "id"),
    ("sessions", "replaced_by"),
    ("tickets", "id"),
}
# Columns of personal words, and where a bundle shows them.
SEALED = {
    ("users", "email_sealed"),
    ("users", "full_name_sealed"),
    ("users", "preferences_sealed"),
    ("users", "app_metadata_sealed"),
    ("sessions", "device_sealed"),
    ("tickets", "content_sealed"),
    ("mails", "content_sealed"),
}


@pytest.fixture(scope="module")
async def post(cluster):
    async with post_office(cluster, SERVER__TRUSTED_PROXIES="127.0.0.0/8") as made:
        yield made


async def columns(urls, condition):
    connection = await asyncpg.connect(urls.owner)
    try:
        rows = await connection.fetch(
            "SELECT table_name, column_name FROM information_schema.columns "
            f"WHERE table_schema = 'public' AND {condition}"
        )
    finally:
        await connection.close()
    return {tuple(row) for row in rows}


async def test_gdpr_15_every_column_that_names_a_person_is_decided_about(post):
    """A new table that refers to a person fails here until it is exported, or somebody says why not."""
    assert await columns(post.service.urls, "data_type = 'uuid'") == NAMING.keys() | OTHERS


async def test_gdpr_15_every_column_of_sealed_words_is_decided_about(post):
    assert await columns(post.service.urls, r"column_name LIKE '%\_sealed'") == SEALED


async def full_life(post):
    """Somebody with a row in every table that names a person, two in most."""
    canaries = Canaries()
    user_id = str(await make_user(post.core, canaries.email, full_name=canaries.full_name))

    async def sign_in(user_agent):
        headers = {"user-agent": user_agent, "x-forwarded-for": canaries.address}
        body = {"email": canaries.email, "password": PASSWORD}
        pair = (await post.client.post("/api/v1/auth/login", json=body, headers=headers)).json()
        return Person(
            user_id, canaries.email, pair["access_token"], pair["refresh_token"], pair["session_id"]
        )

    person, other = await sign_in("first/1"), await sign_in(canaries.user_agent)
    await post.client.post("/api/v1/auth/logout", headers=other.bearer)
    for name in ("laptop", "pipeline"):
        key = {"name": name, "scopes": ["account:read"]}
        made = await post.client.post(f"{ME}/api-keys", json=key, headers=person.bearer)
        assert made.status_code == 201
    root = await post.service.make_admin()
    for path, name, by in (
        (ME, "preferences", person),
        (f"/api/v1/users/{user_id}", "app_metadata", root),
    ):
        body: dict[str, Any] = {name: getattr(canaries, name)}
        assert (await post.client.patch(path, json=body, headers=by.bearer)).status_code == 200
    await give_role(post.service, user_id, await make_role(post.service, "users:create", "sessions:issue"))
    once = person.bearer | {"idempotency-key": "one"}
    body = {"email": f"bystander-of-{canaries.mark}@example.com"}
    bystander = (await post.client.post("/api/v1/users", json=body, headers=once)).json()
    issue = {"user_id": bystander["id"]}
    assert (
        await post.client.post("/api/v1/refresh_tokens", json=issue, headers=person.bearer)
    ).status_code == 201
    assert (
        await post.client.post("/api/v1/refresh_tokens", json={"user_id": user_id}, headers=root.bearer)
    ).is_success
    await post.client.post(
        "/api/v1/auth/login", json={"email": canaries.email, "password": "not the password"}
    )
    await post.deliver()
    moving = {"email": canaries.new_email, "current_password": PASSWORD}
    assert (await post.client.put(f"{ME}/email", json=moving, headers=person.bearer)).status_code == 202
    assert (await post.client.post(f"/api/v1/users/{user_id}/reset", headers=root.bearer)).status_code == 202
    return canaries, person, bystander, root


@pytest.fixture(scope="module")
async def lived(post):
    canaries, person, bystander, root = await full_life(post)
    before = await Seen.of(post.service.urls.owner)
    answer = await post.client.get(EXPORT, headers=person.bearer)
    assert answer.status_code == 200, answer.text
    return canaries, person, bystander, root, before, answer


async def test_gdpr_15_every_row_that_names_the_person_is_in_the_bundle(post, lived):
    _, person, _, _, before, answer = lived
    bundle = answer.json()
    bundle["roles"] = bundle["account"]["roles"]
    counted: Counter[str] = Counter()
    for (table, column), part in NAMING.items():
        if part is not None:
            rows = [row for row in before.rows[table] if person.id in row]
            assert rows, f"nothing was seeded in {table}"
            if part != "account":
                counted[part] += len(await rows_naming(post, table, column, person))
    # The row that this export itself has added to the trail is in it.
    assert {part: len(bundle[part]) for part in counted} == counted
    assert bundle["events"][0]["event"] == "user.exported"
    assert bundle["account"]["id"] == person.id


async def rows_naming(post, table, column, person):
    return await post.service.sql(f"SELECT FROM {table} WHERE {column} = $1::text::uuid", person.id)


async def test_gdpr_15_every_word_of_the_person_is_in_the_bundle(lived):
    canaries, person, _, _, _, answer = lived
    bundle = answer.json()
    account = bundle["account"]
    assert (account["email"], account["full_name"]) == (canaries.email, canaries.full_name)
    assert (account["preferences"], account["app_metadata"]) == (canaries.preferences, canaries.app_metadata)
    devices = [session["device"] for session in bundle["sessions"]]
    assert {"name": canaries.user_agent, "address": canaries.address} in devices
    assert canaries.new_email in [link["new_email"] for link in bundle["links"]]
    [notice] = [mail for mail in bundle["mails"] if mail["kind"] == "new_device"]
    assert (notice["facts"]["device"], notice["facts"]["address"]) == (canaries.user_agent, canaries.address)
    assert "email_change" in [mail["kind"] for mail in bundle["mails"]]
    ended = {session["id"]: session["ended_because"] for session in bundle["sessions"]}
    assert ended[person.session_id] is None
    assert "logout" in ended.values()


async def test_nobody_elses_words_are_in_the_bundle(lived):
    canaries, person, bystander, root, _, answer = lived
    assert bystander["email"] not in answer.text
    assert bystander["id"] not in answer.text
    assert root.email not in answer.text
    # That an administrator acted on the account is the person's to know, and by id.
    issued = [session for session in answer.json()["sessions"] if session["actor_id"] is not None]
    assert [(session["actor_id"], session["device"]) for session in issued] == [(root.id, None)]
    assert canaries.mark in answer.text
    assert person.email in answer.text


async def test_no_hash_key_or_token_is_in_the_bundle(post, lived):
    _, person, _, _, _, answer = lived
    [row] = await post.service.sql("SELECT * FROM users WHERE id = $1::text::uuid", person.id)
    for secret in (row["password_hash"], person.access_token, person.refresh_token, "$argon2", "rt_", "tk_"):
        assert secret not in answer.text
    for blob in (row["email_index"], row["email_sealed"]):
        assert blob.hex() not in answer.text


async def test_gdpr_20_it_is_a_file_of_json_of_a_named_format_that_no_cache_keeps(lived):
    *_, answer = lived
    check_headers(answer)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-disposition"] == 'attachment; filename="keystead-account.json"'
    bundle = json.loads(answer.content)
    assert (bundle["format"], bundle["version"]) == ("keystead-account", 1)
    assert datetime.fromisoformat(bundle["exported_at"]).tzinfo


async def test_asvs_v5_7_5_3_it_needs_a_fresh_proof_and_a_refused_one_leaves_no_trace(post):
    person = await post.person()
    await post.service.sql(
        "UPDATE sessions SET auth_time = auth_time - interval '301 seconds' WHERE user_id = $1::text::uuid",
        person.id,
    )
    trail = await Trail.from_now(post.service)
    check_problem(await post.client.get(EXPORT, headers=person.bearer), 403, "reauthentication_required")
    assert await trail.names() == []
    check_problem(await post.client.get(EXPORT), 401, "unauthorized")
    with_refresh_token = {"authorization": f"Bearer {person.refresh_token}"}
    check_problem(await post.client.get(EXPORT, headers=with_refresh_token), 401, "unauthorized")
    assert (await refresh(post.client, person.refresh_token)).status_code == 200


async def test_each_export_is_recorded_once_and_many_at_once_are_all_whole(post):
    person = await post.person()
    trail = await Trail.from_now(post.service)
    answers = await asyncio.gather(*(post.client.get(EXPORT, headers=person.bearer) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {200}
    assert await trail.events() == [("user.exported", person.id, person.id)] * 5
