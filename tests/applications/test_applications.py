"""Applications: of the configuration and of the API, on every worker, and what becomes of their sessions."""

import asyncio
import json
from datetime import timedelta

import jwt as pyjwt
import pytest

from keystead.applications.book import Applications
from keystead.kernel import fresh_copy
from keystead.settings import configured_applications, defaults_of
from keystead.wiring import open_core
from keystead_verify import InvalidToken, Reason
from tests.conftest import settings_for
from tests.jwt.forging import OfflineVerifier
from tests.support.people import PASSWORD, make_user, new_email, refresh, register

pytestmark = pytest.mark.anyio

APPLICATIONS = "/api/v1/applications"
ME = "/api/v1/users/me"
SHOP = {"client_id": "shop", "audience": "https://shop.example", "access_token_ttl_secs": 60}


@pytest.fixture
def configured():
    return {"APPLICATIONS__BLOG__NAME": "Blog"}


@pytest.fixture
async def admin(client, core):
    return await sign_in_admin(client, core)


async def sign_in_admin(client, core):
    email = new_email()
    await make_user(core, email, is_admin=True)
    pair = (await client.post("/api/v1/auth/login", json={"email": email, "password": PASSWORD})).json()
    return {"authorization": f"Bearer {pair['access_token']}"}


def read(token):
    return pyjwt.decode(token, options={"verify_signature": False})


async def make(client, admin, **changes):
    answer = await client.post(APPLICATIONS, json=SHOP | changes, headers=admin)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def sign_in_to_shop(client, email):
    body = {"email": email, "password": PASSWORD, "client_id": "shop"}
    return await client.post("/api/v1/auth/login", json=body)


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


async def test_nothing_personal_is_in_a_token_unless_it_is_mapped(client, admin):
    await make(
        client, admin, claims={"metadata": {"plan": "billing.plan", "https://x.example/all": "billing"}}
    )
    person = await register(client, client_id="shop")
    for token in (person.access_token, (await register(client)).access_token):
        assert set(read(token)) == {
            *(
                "iss",
                "sub",
                "aud",
                "client_id",
                "exp",
                "iat",
                "jti",
                "sid",
                "auth_time",
                "amr",
                "roles",
                "scope",
            ),
        }
    await client.patch(
        f"/api/v1/users/{person.id}", json={"app_metadata": {"billing": {"plan": "pro"}}}, headers=admin
    )
    claims = read((await refresh(client, person.refresh_token)).json()["access_token"])
    assert (claims["plan"], claims["https://x.example/all"]) == ("pro", {"plan": "pro"})


async def test_a_claim_that_makes_a_token_too_large_is_named_and_costs_no_session(client, core, admin, clock):
    await make(client, admin, claims={"metadata": {"notes": "notes"}})
    person = await register(client, client_id="shop")

    async def note(text):
        body = {"app_metadata": {"notes": text}}
        headers = await sign_in_admin(client, core)
        answer = await client.patch(f"/api/v1/users/{person.id}", json=body, headers=headers)
        assert answer.status_code == 200, answer.text

    await note("x" * 4000)
    refused = await refresh(client, person.refresh_token)
    assert refused.json()["code"] == "token_too_large"
    assert refused.json()["claim"] == "notes"
    await clock.advance(timedelta(minutes=10))  # longer than any window for a repetition
    assert (await refresh(client, person.refresh_token)).status_code == 409
    await note("short")
    assert (await refresh(client, person.refresh_token)).status_code == 200


async def test_cve_class_33_a_shorter_life_ends_sessions_at_their_next_use(client, core, admin, clock):
    await make(client, admin, session_idle_days=10, session_absolute_days=20)
    people = [await register(client, client_id="shop") for _ in range(2)]
    await clock.advance(timedelta(days=2))
    kept = (await refresh(client, people[0].refresh_token)).json()
    fresh = await sign_in_admin(client, core)
    answer = await client.patch(f"{APPLICATIONS}/shop", json={"session_idle_days": 1}, headers=fresh)
    assert answer.status_code == 200
    assert (await refresh(client, people[1].refresh_token)).status_code == 401
    assert (await refresh(client, kept["refresh_token"])).status_code == 200


async def test_deleting_it_ends_its_sessions_and_its_name_is_never_given_again(client, admin):
    await make(client, admin)
    person = await register(client, client_id="shop")
    await client.delete(f"{APPLICATIONS}/shop", headers=admin)
    assert (await client.get(ME, headers=person.bearer)).status_code == 401
    assert (await refresh(client, person.refresh_token)).status_code == 401
    assert (await sign_in_to_shop(client, person.email)).status_code == 422
    again = await client.post(APPLICATIONS, json=SHOP, headers=admin)
    assert (again.status_code, again.json()["code"]) == (409, "application_taken")


async def test_a_new_one_is_known_to_every_worker_at_once(client, admin, urls, clock, configured):
    async with open_core(settings_for(urls, **configured), clock=clock) as other:
        await make(client, admin)
        person = await register(client, client_id="shop")
        identity = await other.core.auth.identify(person.access_token)
        assert str(identity.caller.user_id) == person.id
        pair = await other.core.auth.refresh(person.refresh_token)
        assert read(pair.access_token.reveal())["aud"] == "https://shop.example"


async def test_a_change_is_known_to_every_worker_within_seconds(client, admin, db, monkeypatch, urls):
    settings = settings_for(urls)
    monkeypatch.setattr(fresh_copy, "LOOK_AGAIN_INTERVAL", timedelta(0))
    book = Applications(db, defaults_of(settings), configured_applications(settings))
    assert book.find("shop") is None
    await make(client, admin, allowed_origins=["https://shop.example"])
    await book.refresh()
    assert "https://shop.example" in book.origins


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


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"client_id": "Shop"}, "/client_id"),
        ({"client_id": "\u017fhop"}, "/client_id"),
        ({"client_id": "a b"}, "/client_id"),
        ({"audience": "two words"}, "/audience"),
        ({"audience": ""}, "/audience"),
        ({"allowed_origins": ["*"]}, "/allowed_origins/0"),
        ({"allowed_origins": ["null"]}, "/allowed_origins/0"),
        ({"allowed_origins": ["https://a.example", "https://b.example/"]}, "/allowed_origins/1"),
        ({"allowed_origins": ["https://user@a.example"]}, "/allowed_origins/0"),
        ({"allowed_origins": ["javascript:alert(1)"]}, "/allowed_origins/0"),
        ({"allowed_origins": ["https://a.example:443"]}, "/allowed_origins/0"),
        ({"allowed_origins": ["http://a.example:80"]}, "/allowed_origins/0"),
        ({"allowed_origins": ["https://a.example:08443"]}, "/allowed_origins/0"),
        ({"allowed_origins": ["https://b\u00fccher.example"]}, "/allowed_origins/0"),
        ({"allowed_origins": ["https://a.example"] * 51}, "/allowed_origins"),
        ({"redirect_urls": ["http://a.example/"]}, "/redirect_urls/0"),
        ({"redirect_urls": ["https://a.example/#x"]}, "/redirect_urls/0"),
        ({"redirect_urls": ["https://evil.example\\@good.example/"]}, "/redirect_urls/0"),
        ({"redirect_urls": ["https://user:pw@good.example/"]}, "/redirect_urls/0"),
        ({"redirect_urls": ["data:text/html,x"]}, "/redirect_urls/0"),
        ({"redirect_urls": ["//good.example/"]}, "/redirect_urls/0"),
        ({"redirect_urls": ["https:///good.example/"]}, "/redirect_urls/0"),
        ({"redirect_urls": ["https://good.example/\u202ecod.exe"]}, "/redirect_urls/0"),
        ({"redirect_urls": ["https://good.example/\u0000"]}, "/redirect_urls/0"),
        ({"redirect_urls": ['https://good.example/"><script>']}, "/redirect_urls/0"),
        ({"redirect_urls": ["https://good.example/ https://evil.example/"]}, "/redirect_urls/0"),
        ({"redirect_urls": ["https://\u0433ood.example/"]}, "/redirect_urls/0"),
        ({"redirect_urls": ["https://good.example/" + "a" * 2100]}, "/redirect_urls"),
        ({"links": {"reset_url": "data:text/html,{token}"}}, "/links/reset_url"),
        ({"links": {"reset_url": "https://evil.example\\@good.example/{token}"}}, "/links/reset_url"),
        ({"links": {"reset_url": "https://user:{token}@good.example/"}}, "/links/reset_url"),
        ({"links": {"reset_url": "https://a.example/#{token}#{token}"}}, "/links/reset_url"),
        ({"links": {"reset_url": "https://a.example/{token}\r\nBcc: x@evil.example"}}, "/links/reset_url"),
        ({"links": {"reset_url": "https://a.example/reset"}}, "/links/reset_url"),
        ({"links": {"reset_url": "https://a.example/{token}/{token}"}}, "/links/reset_url"),
        ({"links": {"reset_url": "javascript:{token}"}}, "/links/reset_url"),
        ({"links": {"reset_url": "https://{token}.evil.example/"}}, "/links/reset_url"),
        ({"links": {"other_url": "https://a.example/{token}"}}, "/links"),
        ({"access_token_ttl_secs": 1}, "/access_token_ttl_secs"),
        ({"session_idle_days": 31}, "/session_idle_days"),
        ({"session_idle_days": -1}, "/session_idle_days"),
        ({"claims": {"metadata": {"sub": "id"}}}, "/claims/metadata"),
        ({"claims": {"metadata": {"a b": "id"}}}, "/claims/metadata"),
        ({"claims": {"metadata": {"plan": "a..b"}}}, "/claims/metadata"),
        ({"claims": {"metadata": {"plan": "a\u0000"}}}, "/claims/metadata"),
        ({"claims": {"metadata": {f"claim-{n}": "a" for n in range(21)}}}, "/claims/metadata"),
        ({"claims": {"metadata": {"plan": "a"}, "from_hook": ["plan"]}}, "/claims/from_hook"),
        ({"claims": {"from_hook": ["roles"]}}, "/claims/from_hook"),
        ({"claims": {"roles": {"user": ""}}}, "/claims/roles"),
        ({"mode": "both"}, "/mode"),
        ({"name": "Shop\nBcc: x"}, "/name"),
        ({"name": ""}, "/name"),
        ({"claims": {"roles": {"user": "\u0000"}}}, "/claims/roles"),
        ({"client_id": "a" * 65}, "/client_id"),
        ({"client_id": "../admin"}, "/client_id"),
        ({"secret": "x"}, "/secret"),
    ],
    ids=json.dumps,
)
async def test_a_bad_definition_is_refused_by_field(client, admin, changes, pointer):
    answer = await client.post(APPLICATIONS, json=SHOP | changes, headers=admin)
    assert answer.status_code == 422, answer.text
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]


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
    answers = await asyncio.gather(
        *(client.post(APPLICATIONS, json={"client_id": f"new-{n}"}, headers=admin) for n in range(5))
    )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 4


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
