"""Applications: of the configuration and of the API, who may make one, and what becomes of their sessions."""

import asyncio
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from keystead.applications import store
from keystead.applications.book import Applications
from keystead.operations import sweep
from keystead.settings import configured_applications, defaults_of
from keystead_verify import InvalidToken, Reason
from tests.conftest import settings_for
from tests.contract.service import serving_over
from tests.jwt.forging import OfflineVerifier
from tests.support.applications import APPLICATIONS, SHOP, ask_to_sign_in, change, make, read, sign_in_admin
from tests.support.people import PASSWORD, refresh, register

pytestmark = pytest.mark.anyio

ME = "/api/v1/users/me"


@pytest.fixture
def configured():
    return {"APPLICATIONS__BLOG__NAME": "Blog"}


@pytest.fixture
async def admin(client, core):
    return await sign_in_admin(client, core)


async def test_an_application_is_made_shown_changed_and_deleted(client, admin):
    made = await make(client, admin, name="Shop")
    assert (made["source"], made["name"], made["audience"]) == ("database", "Shop", "https://shop.example")
    changed = await client.patch(
        f"{APPLICATIONS}/shop", json={"name": None, "session_idle_days": 1}, headers=admin
    )
    assert (changed.json()["name"], changed.json()["session_idle_days"]) == ("Keystead", 1)
    assert changed.json()["access_token_ttl_secs"] == 60  # not named, so unchanged
    listed = (await client.get(APPLICATIONS, headers=admin)).json()["items"]
    assert [(each["client_id"], each["source"]) for each in listed] == [
        ("blog", "configuration"),
        ("default", "configuration"),
        ("shop", "database"),
    ]
    assert (await client.delete(f"{APPLICATIONS}/shop", headers=admin)).status_code == 204
    assert (await client.get(f"{APPLICATIONS}/shop", headers=admin)).status_code == 404


async def test_a_change_touches_what_it_names_and_null_is_the_default_again(client, admin):
    links = {"reset_url": "https://shop.example/r#{token}", "verify_url": "https://shop.example/v/{token}"}
    claims = {
        "roles": {"admin": "boss", "user": "customer"},
        "metadata": {"plan": "plan"},
        "from_hook": ["quota"],
    }
    made = await make(client, admin, links=links, claims=claims, redirect_urls=["https://shop.example/"])
    assert (made["is_default"], made["claims"]) == (False, claims)

    async def change(**changes):
        answer = await client.patch(f"{APPLICATIONS}/shop", json=changes, headers=admin)
        assert answer.status_code == 200, answer.text
        return answer.json()

    changed = await change(
        links={"reset_url": None},
        claims={"roles": {"user": None, "ops": "ops"}, "metadata": {"tier": "tier"}},
    )
    assert changed["links"] == made["links"] | {"reset_url": "http://127.0.0.1:3000/reset/{token}"}
    assert changed["claims"] == {
        "roles": {"admin": "boss", "ops": "ops"},
        "metadata": {"plan": "plan", "tier": "tier"},
        "from_hook": ["quota"],
    }
    assert changed["redirect_urls"] == ["https://shop.example/"]
    plain = await change(
        links=None, claims={"roles": None, "from_hook": None}, redirect_urls=None, audience=None
    )
    assert plain["links"]["verify_url"] == "http://127.0.0.1:3000/verify/{token}"
    assert plain["claims"] == {"roles": {}, "metadata": {"plan": "plan", "tier": "tier"}, "from_hook": []}
    assert (plain["redirect_urls"], plain["audience"]) == ([], "shop")


async def test_the_default_one_is_shown_as_such(client, admin):
    listed = (await client.get(APPLICATIONS, headers=admin)).json()["items"]
    assert [each["client_id"] for each in listed if each["is_default"]] == ["default"]


async def test_what_is_configured_wins_and_is_not_changed_here(client, admin):
    for answer in (
        await client.post(APPLICATIONS, json={"client_id": "blog"}, headers=admin),
        await client.patch(f"{APPLICATIONS}/blog", json={"name": "X"}, headers=admin),
        await client.delete(f"{APPLICATIONS}/default", headers=admin),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "application_configured")


async def test_its_tokens_are_for_its_audience_and_live_as_long_as_it_says(client, admin, core):
    await make(client, admin)
    person = await register(client, client_id="shop")
    claims = read(person.access_token)
    assert (claims["aud"], claims["client_id"], claims["exp"] - claims["iat"]) == (
        "https://shop.example",
        "shop",
        60,
    )
    assert (await client.get(ME, headers=person.bearer)).status_code == 200
    document = core.keys.read_set()
    for audience, is_for_it in (("https://shop.example", True), ("blog", False), ("shop", False)):
        verifier = OfflineVerifier(document, issuer="http://127.0.0.1:3000", audience=audience)
        verifier.moment = claims["iat"] + 1
        if is_for_it:
            assert verifier.verify(person.access_token).subject == person.id
        else:
            with pytest.raises(InvalidToken) as refusal:
                verifier.verify(person.access_token)
            assert refusal.value.reason is Reason.AUDIENCE


@pytest.mark.parametrize("what", ["session_idle_days", "session_absolute_days"])
async def test_cve_class_33_a_shorter_life_ends_sessions_at_their_next_use(client, core, admin, clock, what):
    await make(client, admin, session_idle_days=10, session_absolute_days=20)
    old, used = [await register(client, client_id="shop") for _ in range(2)]
    await clock.advance(timedelta(days=2))
    kept = (await refresh(client, used.refresh_token)).json()
    young = await register(client, client_id="shop")
    later = await sign_in_admin(client, core)
    shorter = {"session_idle_days": 1, what: 1}
    await change(client, later, "shop", **shorter)
    assert (await refresh(client, old.refresh_token)).status_code == 401
    was_used = await refresh(client, kept["refresh_token"])
    assert was_used.status_code == (200 if what == "session_idle_days" else 401)
    answer = await refresh(client, young.refresh_token)
    assert answer.status_code == 200
    assert 86400 - 60 <= answer.json()["refresh_expires_in"] <= 86400


async def test_cve_class_33_a_shorter_window_counts_for_tokens_that_were_replaced_already(
    client, admin, clock
):
    await make(client, admin, refresh_reuse_window_secs=600)
    person = await register(client, client_id="shop")
    pair = (await refresh(client, person.refresh_token)).json()
    await clock.advance(timedelta(seconds=61))
    assert (await refresh(client, person.refresh_token)).json()["refresh_token"] == pair["refresh_token"]
    await change(client, admin, "shop", refresh_reuse_window_secs=60)
    assert (await refresh(client, person.refresh_token)).status_code == 401
    assert (
        await refresh(client, pair["refresh_token"])
    ).status_code == 401  # somebody else held the one before


async def test_deleting_it_ends_its_sessions_and_its_name_is_never_given_again(client, admin):
    await make(client, admin)
    person = await register(client, client_id="shop")
    key = await client.post(
        f"{ME}/api-keys", json={"name": "laptop", "scopes": ["account:read"]}, headers=person.bearer
    )
    by_key = {"authorization": f"Bearer {key.json()['api_key']}"}
    assert (await client.get(ME, headers=by_key)).status_code == 200
    await client.delete(f"{APPLICATIONS}/shop", headers=admin)
    for headers in (person.bearer, by_key):
        assert (await client.get(ME, headers=headers)).status_code == 401
    assert (
        await client.post("/api/v1/auth/reauthenticate", json={"password": PASSWORD}, headers=person.bearer)
    ).is_error
    assert (await refresh(client, person.refresh_token)).status_code == 401
    assert (await ask_to_sign_in(client, person.email, "shop")).status_code == 422
    again = await client.post(APPLICATIONS, json=SHOP, headers=admin)
    assert (again.status_code, again.json()["code"]) == (409, "application_taken")


async def test_tokens_for_the_audience_of_before_are_refused_and_the_next_refresh_brings_the_new_one(
    client, admin
):
    await make(client, admin)
    person = await register(client, client_id="shop")
    await change(client, admin, "shop", audience="https://new.example")
    assert (await client.get(ME, headers=person.bearer)).status_code == 401
    pair = (await refresh(client, person.refresh_token)).json()
    assert read(pair["access_token"])["aud"] == "https://new.example"
    answer = await client.get(ME, headers={"authorization": f"Bearer {pair['access_token']}"})
    assert answer.status_code == 200


async def test_what_was_deleted_does_not_come_back_to_life_with_a_configured_one_of_its_name(
    client, core, admin, urls, db, monkeypatch
):
    monkeypatch.setattr(sweep, "BATCH", 2)
    await make(client, admin)
    people = [await register(client, client_id="shop") for _ in range(5)]
    other = await register(client)
    await client.delete(f"{APPLICATIONS}/shop", headers=admin)
    assert await core.operations.sweep() == 5
    ends = await db.fetch(
        "SELECT session_id::text, detail->>'because' FROM audit_events WHERE event = 'session.ended'"
    )
    assert sorted(map(tuple, ends)) == sorted((each.session_id, "application_deleted") for each in people)
    async with serving_over(urls, APPLICATIONS__SHOP__AUDIENCE="https://shop.example") as later:
        assert (await refresh(later.client, people[0].refresh_token)).status_code == 401
        assert (await later.client.get(ME, headers=people[0].bearer)).status_code == 401
        assert (await refresh(later.client, other.refresh_token)).status_code == 200
        back = await register(later.client, client_id="shop")
        assert await later.core.operations.sweep() == 0
        assert (await later.client.get(ME, headers=back.bearer)).status_code == 200


async def test_pages_of_its_origins_may_call_as_soon_as_it_says_so(client, admin):
    headers = {"origin": "https://new.example", "access-control-request-method": "POST"}
    assert (await client.options("/api/v1/auth/login", headers=headers)).status_code == 403
    await make(client, admin, allowed_origins=["https://new.example"], mode="cookie")
    answer = await client.options("/api/v1/auth/login", headers=headers)
    assert answer.headers["access-control-allow-origin"] == "https://new.example"
    assert answer.headers["access-control-allow-credentials"] == "true"


async def test_who_may_not_do_everything_makes_no_application(client, db):
    person = await register(client)
    await db.execute("INSERT INTO roles (name, permissions) VALUES ('ops', $1)", ["applications:write"])
    await db.execute("UPDATE authorization_state SET version = version + 1")
    await db.execute("INSERT INTO user_roles (user_id, role) VALUES ($1::text::uuid, 'ops')", person.id)
    answer = await client.post(APPLICATIONS, json=SHOP, headers=person.bearer)
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_of_many_at_once_one_makes_it_and_no_change_is_lost(client, admin):
    answers = await asyncio.gather(*(client.post(APPLICATIONS, json=SHOP, headers=admin) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9
    changes: list[dict[str, object]] = [
        {"name": "Shop"},
        {"audience": "https://new.example"},
        {"refresh_reuse_window_secs": 5},
        {"session_idle_days": 3},
    ]
    await asyncio.gather(
        *(client.patch(f"{APPLICATIONS}/shop", json=change, headers=admin) for change in changes)
    )
    shown = (await client.get(f"{APPLICATIONS}/shop", headers=admin)).json()
    assert {name: shown[name] for change in changes for name in change} == {
        name: value for change in changes for name, value in change.items()
    }


async def test_there_is_an_end_to_how_many_there_are(client, admin, db):
    await db.execute(
        "INSERT INTO applications (client_id, definition) SELECT 'app-' || n, '{}' FROM generate_series(1, 200) n"
    )
    answer = await client.post(APPLICATIONS, json=SHOP, headers=admin)
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_applications")
    await client.delete(f"{APPLICATIONS}/app-1", headers=admin)
    async with db.begin() as tx:  # of two that would be the last one, one waits and then counts the other
        assert not await store.is_full(tx)
        await store.add(tx, "last", {})
        late = asyncio.create_task(client.post(APPLICATIONS, json=SHOP, headers=admin))
        waits = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'applications'::regclass"
        async with asyncio.timeout(30):
            while not (late.done() or await db.fetch(waits)):
                await asyncio.sleep(0.01)
    assert (await late).json()["code"] == "too_many_applications"


async def test_one_that_cannot_be_read_is_left_out_and_can_be_mended(client, admin, db, core):
    await make(client, admin)
    for broken in ('{"mode": 1}', '{"audience": "two words"}', "[]"):
        await db.execute("UPDATE applications SET definition = $1 WHERE client_id = 'shop'", broken)
        await core.applications.book.refresh()
        assert core.applications.book.find("shop") is None
        assert core.applications.book.find("blog") is not None
        assert (await client.get(f"{APPLICATIONS}/shop", headers=admin)).status_code == 404
    mend = {"audience": "https://shop.example"}
    assert (await client.patch(f"{APPLICATIONS}/shop", json=mend, headers=admin)).status_code == 200


async def test_what_did_not_change_is_not_read_again_and_not_complained_about_again(db, urls):
    await db.execute("INSERT INTO applications (client_id, definition) VALUES ('shop', '{\"mode\": 1}')")
    book = Applications(db, defaults_of(settings_for(urls)), configured_applications(settings_for(urls)))
    with capture_logs() as logged:
        for _ in range(3):
            await book.refresh()
        await db.execute("UPDATE applications SET definition = '{}'")
        await book.refresh()
    assert [entry["event"] for entry in logged] == ["application.unusable"]
    assert book.find("shop") is not None


async def test_what_a_version_to_come_added_survives_a_change_by_this_one(client, admin, db):
    await make(client, admin)
    await db.execute("UPDATE applications SET definition = definition || '{\"later\": [1]}'")
    await client.patch(f"{APPLICATIONS}/shop", json={"name": "Shop"}, headers=admin)
    row = await db.fetch_row("SELECT definition->'later', definition->'name' FROM applications")
    assert tuple(row) == ("[1]", '"Shop"')


async def test_a_shorter_default_shortens_it_and_does_not_take_it_away(client, admin, db, urls):
    await make(client, admin, session_idle_days=20)
    settings = settings_for(urls, AUTH__SESSION_IDLE_DAYS="5", AUTH__SESSION_ABSOLUTE_DAYS="7")
    book = Applications(db, defaults_of(settings), configured_applications(settings))
    await book.refresh()
    lifetimes = book.of("shop").lifetimes
    assert (lifetimes.idle, lifetimes.absolute) == (timedelta(days=7), timedelta(days=7))


async def test_a_repeated_request_makes_one(client, admin):
    headers = admin | {"idempotency-key": "one"}
    one = await client.post(APPLICATIONS, json=SHOP, headers=headers)
    two = await client.post(APPLICATIONS, json=SHOP, headers=headers)
    assert (one.status_code, one.json()) == (two.status_code, two.json()) == (201, two.json())
