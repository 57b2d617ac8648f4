"""The lists of networks over the API: who may change them, what that does at once, and what it never does."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx2
import pytest
from structlog.testing import capture_logs

from keystead.api.rest.catalogue import ROUTES
from keystead.kernel.caller import Operator
from keystead.kernel.db import Database, DatabaseUnavailable
from keystead.kernel.ids import new_uuid
from keystead.limits.lists import book as networks_book
from keystead.limits.lists.types import MAX_STORED, NetworkNotFound, OwnNetwork, TooManyNetworks, Verdict
from keystead.operations.networks import NewNetwork
from keystead.vault import PageWanted
from tests.contract.service import asgi_scope, serving_over
from tests.support.clock import freeze
from tests.support.people import register
from tests.support.places_file import write_places

pytestmark = pytest.mark.anyio

NETWORKS = "/api/v1/networks"
NOW = datetime(2031, 1, 1, 12, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
PROXIED = {"SERVER__TRUSTED_PROXIES": "127.0.0.0/8"}
SOMEWHERE, ELSEWHERE = "203.0.113.9", "2001:db8::7"


@pytest.fixture
async def here(urls):
    """Clients are where their X-Forwarded-For says."""
    async with serving_over(urls, **PROXIED) as made:
        yield made


@pytest.fixture
async def there(urls, here):
    """Another worker, which looks at the table of itself only where a test lets it."""
    async with serving_over(urls, **PROXIED) as made:
        yield made


@pytest.fixture
async def admin(here):
    return (await here.make_admin()).bearer


def at(address):
    return {"x-forwarded-for": address}


async def add(service, admin, network, verdict="denied", **more):
    return await service.client.post(
        NETWORKS, json={"network": network, "verdict": verdict, **more}, headers=admin
    )


async def status(service, address, path="/.well-known/jwks.json"):
    return (await service.client.get(path, headers=at(address))).status_code


async def listed(service, admin):
    answer = await service.client.get(NETWORKS, headers=admin)
    return [(each["network"], each["verdict"], each["source"]) for each in answer.json()["items"]]


async def events(service):
    rows = await service.sql("SELECT event FROM audit_events WHERE event LIKE 'network.%' ORDER BY id")
    return [row["event"] for row in rows]


def judge(service, address):
    return service.core.networks.book.judge(address)


async def test_a_denied_network_gets_one_answer_on_every_route_but_health(here, admin):
    assert (await add(here, admin, "203.0.113.0/24")).status_code == 201
    paths = [(route.method, route.path) for route in ROUTES]
    for method, path in (
        *paths,
        ("GET", "/nothing/here"),
        ("PROPFIND", "/"),
        ("GET", "/api/v1/users/me?token=x"),
    ):
        answer = await here.client.request(method, path, headers=admin | at(SOMEWHERE), content=b"{")
        if path.startswith("/health"):
            assert answer.status_code in (200, 403)
            assert answer.json().get("code") != "address_denied"
            continue
        assert (answer.status_code, answer.json()["code"]) == (403, "address_denied"), (method, path)
        assert answer.headers["content-type"] in ("application/problem+json", "application/json")
    assert await status(here, "203.0.112.255") == 200
    assert await status(here, "unix") == 200


async def test_asvs_v5_8_2_4_a_session_is_judged_by_where_it_comes_from_with_each_request(here, admin):
    person = await register(here.client)
    refreshing = {"authorization": f"Bearer {person.refresh_token}"}
    await add(here, admin, "203.0.113.0/24")
    me = [
        (await here.client.get("/api/v1/users/me", headers=person.bearer | at(address))).status_code
        for address in (SOMEWHERE, ELSEWHERE)
    ]
    assert me == [403, 200]
    refreshed = [
        (await here.client.post("/api/v1/auth/refresh", headers=refreshing | at(address))).status_code
        for address in (SOMEWHERE, ELSEWHERE)
    ]
    assert refreshed == [403, 200]


async def test_nothing_of_a_denied_request_is_read(here, admin):
    await add(here, admin, "203.0.113.0/24")
    headers = [(b"x-forwarded-for", SOMEWHERE.encode())]
    scope = asgi_scope("POST", "/api/v1/auth/login", headers) | {"client": ("127.0.0.1", 1)}
    said = []

    async def receive():
        raise AssertionError("the body was read")

    async def send(message):
        said.append(message)

    await here.app(scope, receive, send)
    assert said[0]["status"] == 403


@pytest.mark.parametrize(
    ("entries", "verdict"),
    [
        ([("203.0.113.0/24", "denied"), ("203.0.113.9", "allowed")], Verdict.ALLOWED),
        ([("203.0.113.0/24", "allowed"), ("203.0.113.8/31", "denied")], Verdict.DENIED),
        ([("203.0.113.0/24", "denied"), ("203.0.113.0/24", "allowed")], Verdict.ALLOWED),
        ([("203.0.113.0/24", "allowed"), ("203.0.113.0/24", "denied")], Verdict.ALLOWED),
        ([("::ffff:203.0.113.0/120", "denied")], Verdict.DENIED),
        ([("2001:db8::/32", "denied")], Verdict.NEITHER),
    ],
)
async def test_what_lists_say_together(here, admin, entries, verdict):
    for network, each in entries:
        assert (await add(here, admin, network, each)).status_code == 201
    assert judge(here, SOMEWHERE) is verdict


async def test_an_entry_is_shown_renewed_and_removed_and_the_trail_tells(here, admin):
    made = await add(here, admin, "203.0.113.0/24", because="scans", ttl_secs=3600)
    assert made.status_code == 201
    entry = made.json()
    ends = datetime.fromisoformat(entry["expires_at"]) - datetime.fromisoformat(entry["created_at"])
    assert abs(ends - timedelta(hours=1)) < timedelta(seconds=1)
    renewed = await add(here, admin, "203.0.113.0/24", because="more scans")
    assert renewed.status_code == 200
    assert renewed.json()["id"] == entry["id"]
    assert (renewed.json()["because"], renewed.json()["expires_at"]) == ("more scans", None)
    shown = (await here.client.get(NETWORKS, headers=admin)).json()
    assert shown == {"items": [renewed.json()], "next_cursor": None}
    for expected in (204, 404):
        answer = await here.client.delete(f"{NETWORKS}/{entry['id']}", headers=admin)
        assert answer.status_code == expected
    assert judge(here, SOMEWHERE) is Verdict.NEITHER
    assert await events(here) == ["network.denied", "network.denied", "network.removed"]
    (row, *_) = await here.sql(
        "SELECT detail::jsonb AS d, actor_id FROM audit_events WHERE event = 'network.removed'"
    )
    assert '"203.0.113.0/24"' in row["d"]


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"network": "203.0.113.9/24"}, "/network", "host_bits_set"),
        ({"network": "somewhere"}, "/network", "network_invalid"),
        ({"network": ""}, "/network", "network_invalid"),
        ({"network": "2" * 65}, "/network", "invalid"),
        ({"network": 7}, "/network", "invalid"),
        ({"network": None}, "/network", "invalid"),
        ({"network": ["203.0.113.0/24"]}, "/network", "invalid"),
        ({"network": "0.0.0.0/0"}, "/network", "network_too_wide"),
        ({"network": "::/0"}, "/network", "network_too_wide"),
        ({"network": "2000::/3"}, "/network", "network_too_wide"),
        ({"network": "128.0.0.0/1", "verdict": "allowed"}, "/network", "network_too_wide"),
        ({"network": "::ffff:0:0/96"}, "/network", "network_too_wide"),
        ({"verdict": "neither"}, "/verdict", "invalid"),
        ({"verdict": "deny"}, "/verdict", "invalid"),
        ({"verdict": True}, "/verdict", "invalid"),
        ({"because": "a\nb"}, "/because", "because_invalid"),
        ({"because": "a\x00"}, "/because", "because_invalid"),
        ({"because": "\u202ea"}, "/because", "because_invalid"),
        ({"because": "a" * 201}, "/because", "invalid"),
        ({"because": None}, "/because", "invalid"),
        ({"ttl_secs": 0}, "/ttl_secs", "invalid"),
        ({"ttl_secs": -1}, "/ttl_secs", "invalid"),
        ({"ttl_secs": "60"}, "/ttl_secs", "invalid"),
        ({"ttl_secs": 1.5}, "/ttl_secs", "invalid"),
        ({"ttl_secs": 10**10}, "/ttl_secs", "invalid"),
        ({"id": str(new_uuid())}, "/id", "unknown_field"),
        ({"source": "configuration"}, "/source", "unknown_field"),
    ],
)
async def test_what_cannot_be_listed_is_named_and_nothing_changes(here, admin, body, pointer, code):
    answer = await here.client.post(
        NETWORKS, json={"network": "203.0.113.0/24", "verdict": "denied", **body}, headers=admin
    )
    assert answer.status_code == 422, answer.text
    assert [(each["pointer"], each["code"]) for each in answer.json()["errors"]] == [(pointer, code)]
    assert await listed(here, admin) == []
    assert await events(here) == []


async def test_the_right_network_is_named_where_host_bits_are_set(here, admin):
    answer = await add(here, admin, "2001:db8:1:2::7/48")
    assert "2001:db8:1::/48" in answer.json()["errors"][0]["message"]


@pytest.mark.parametrize(
    "text", ["x", "00000000-0000-0000-0000-00000000000G", "01A211F9-2923-7E66-AD60-D204951D0213"]
)
async def test_what_is_no_id_is_no_entry(here, admin, text):
    answer = await here.client.delete(f"{NETWORKS}/{text}", headers=admin)
    assert (answer.status_code, answer.json()["code"]) == (404, "network_not_found")


@pytest.mark.parametrize("address", [SOMEWHERE, ELSEWHERE])
async def test_nobody_denies_the_network_that_they_call_from(here, admin, address):
    own = "203.0.0.0/16" if address == SOMEWHERE else "2001:db8::/48"
    answer = await add(here, admin | at(address), own)
    assert (answer.status_code, answer.json()["code"]) == (409, "own_network")
    assert await listed(here, admin) == []
    assert await events(here) == []
    assert judge(here, address) is Verdict.NEITHER
    # From elsewhere, or where a narrower entry lets them in, they may.
    assert (await add(here, admin | at(address), address, "allowed")).status_code == 201
    assert (await add(here, admin | at(address), own)).status_code == 201
    # The entry that lets them in is then not theirs to remove.
    allowed = next(
        each
        for each in (await here.client.get(NETWORKS, headers=admin | at(address))).json()["items"]
        if each["verdict"] == "allowed"
    )
    refused = await here.client.delete(f"{NETWORKS}/{allowed['id']}", headers=admin | at(address))
    assert (refused.status_code, refused.json()["code"]) == (409, "own_network")
    assert judge(here, address) is Verdict.ALLOWED
    assert (await here.client.delete(f"{NETWORKS}/{allowed['id']}", headers=admin)).status_code == 204
    assert judge(here, address) is Verdict.DENIED


async def test_of_two_changes_that_together_shut_their_maker_out_one_is_refused(here, admin):
    """Each alone would leave the caller in: the second sees what the first did."""
    kept = (await add(here, admin, SOMEWHERE, "allowed")).json()["id"]
    for _ in range(10):
        headers = admin | at(SOMEWHERE)
        answers = await asyncio.gather(
            add(here, headers, "203.0.113.0/24"), here.client.delete(f"{NETWORKS}/{kept}", headers=headers)
        )
        assert sorted(answer.status_code for answer in answers) in ([201, 409], [204, 409])
        for entry in (await here.client.get(NETWORKS, headers=admin)).json()["items"]:
            await here.client.delete(f"{NETWORKS}/{entry['id']}", headers=admin)
        kept = (await add(here, admin, SOMEWHERE, "allowed")).json()["id"]


async def test_an_operator_on_the_machine_calls_from_nowhere(here):
    new = NewNetwork("127.0.0.0/8", Verdict.DENIED)
    await here.core.networks.add(Operator(), new, address=None)
    assert judge(here, "127.0.0.1") is Verdict.DENIED
    with pytest.raises(OwnNetwork):
        await here.core.networks.add(Operator(), new, address="127.0.0.1")


async def test_the_configuration_is_shown_and_wins(urls):
    configured = {"LIMITS__ALLOW": "203.0.113.0/24,127.0.0.0/8", "LIMITS__DENY": "198.51.100.0/24,0.0.0.0/0"}
    async with serving_over(urls, **PROXIED, **configured) as service:
        admin = (await service.make_admin()).bearer
        await service.sql(
            """INSERT INTO networks (id, network, verdict, because)
               VALUES (gen_random_uuid(), '198.51.100.0/24', 'allowed', '')"""
        )
        await service.sql("UPDATE networks_version SET version = version + 1")
        assert await listed(service, admin) == [
            ("0.0.0.0/0", "denied", "configuration"),
            ("127.0.0.0/8", "allowed", "configuration"),
            ("198.51.100.0/24", "denied", "configuration"),
            ("203.0.113.0/24", "allowed", "configuration"),
            ("198.51.100.0/24", "allowed", "database"),
        ]
        assert judge(service, "198.51.100.7") is Verdict.DENIED
        assert judge(service, "192.0.2.1") is Verdict.DENIED
        assert judge(service, SOMEWHERE) is Verdict.ALLOWED
        for network in ("198.51.100.0/24", "203.0.113.0/24"):
            for verdict in ("allowed", "denied"):
                answer = await add(service, admin, network, verdict)
                assert (answer.status_code, answer.json()["code"]) == (409, "network_configured")
        # What an administrator allows narrowly within it holds: the narrowest network decides.
        assert (await add(service, admin, "198.51.100.7", "allowed")).status_code == 201
        assert judge(service, "198.51.100.7") is Verdict.ALLOWED
        # Only the configuration keeps this caller in.
        answer = await add(service, admin | at(SOMEWHERE), SOMEWHERE)
        assert (answer.status_code, answer.json()["code"]) == (409, "own_network")


async def test_an_entry_ends_by_the_databases_time_to_the_microsecond(urls):
    async with serving_over(urls, **PROXIED) as service:
        verbs = service.core.networks
        await freeze(urls.owner, NOW)
        new = NewNetwork("203.0.113.0/24", Verdict.DENIED, lifetime=timedelta(seconds=60))
        entry, _ = await verbs.add(Operator(), new, address=None)
        assert entry.id is not None
        ends, harmless = NOW + timedelta(seconds=60), NewNetwork("198.51.100.7", Verdict.ALLOWED)

        await freeze(urls.owner, ends - MOMENT)
        assert (await verbs.list(Operator(), PageWanted())).items == [entry]
        with pytest.raises(OwnNetwork):
            await verbs.add(Operator(), harmless, address=SOMEWHERE)

        await freeze(urls.owner, ends)
        assert (await verbs.list(Operator(), PageWanted())).items == []
        assert judge(service, SOMEWHERE) is Verdict.NEITHER
        with pytest.raises(NetworkNotFound):
            await verbs.remove(Operator(), entry.id, address=None)
        await verbs.add(Operator(), harmless, address=SOMEWHERE)
        again, is_new = await verbs.add(Operator(), new, address=None)
        assert (is_new, again.id == entry.id) == (True, False)


async def test_what_ends_while_the_database_is_away_ends_and_the_rest_goes_on(urls, clock, monkeypatch):
    async with serving_over(urls, clock, **PROXIED) as service:
        admin = (await service.make_admin()).bearer
        await add(service, admin, "203.0.113.0/24", ttl_secs=2)
        await add(service, admin, "2001:db8::/32")
        assert (await status(service, SOMEWHERE), await status(service, ELSEWHERE)) == (403, 403)

        async def fail(*_):
            raise DatabaseUnavailable

        for name in ("fetch", "fetch_row", "execute", "begin"):
            monkeypatch.setattr(Database, name, fail)
        with pytest.raises(DatabaseUnavailable):
            await service.core.networks.book.refresh()
        async with asyncio.timeout(30):
            while await status(service, SOMEWHERE) == 403:
                await asyncio.sleep(0.05)
        assert await status(service, ELSEWHERE) == 403


async def test_what_has_ended_is_swept_and_what_lives_stays(here, admin, clock):
    await add(here, admin, "203.0.113.0/24", ttl_secs=60)
    await add(here, admin, "198.51.100.0/24")
    await clock.advance(timedelta(hours=1, seconds=59))
    await here.core.operations.sweep()
    assert len(await here.sql("SELECT FROM networks")) == 2
    await clock.advance(timedelta(seconds=2))
    await here.core.operations.sweep()
    assert [str(row["network"]) for row in await here.sql("SELECT network FROM networks")] == [
        "198.51.100.0/24"
    ]


async def becomes_fresh(worker, address, verdict):
    """As in a worker's own loop: until it has read once more."""
    loop = asyncio.create_task(worker.core.networks.book.keep_fresh())
    try:
        async with asyncio.timeout(30):
            while judge(worker, address) is not verdict:
                await asyncio.sleep(0.01)
    finally:
        loop.cancel()


async def test_a_change_holds_here_at_once_and_there_as_soon_as_it_looks(urls, here, admin, monkeypatch):
    monkeypatch.setattr(networks_book, "REFRESH_INTERVAL", networks_book.REFRESH_INTERVAL / 1000)
    async with serving_over(urls, **PROXIED) as there:
        made = await add(here, admin, "203.0.113.0/24")
        assert await status(here, SOMEWHERE) == 403
        await becomes_fresh(there, SOMEWHERE, Verdict.DENIED)
        assert await status(there, SOMEWHERE) == 403
        await here.client.delete(f"{NETWORKS}/{made.json()['id']}", headers=admin)
        assert await status(here, SOMEWHERE) == 200
        await becomes_fresh(there, SOMEWHERE, Verdict.NEITHER)
        assert await status(there, SOMEWHERE) == 200


async def test_lists_that_did_not_change_are_not_read_again(here, admin):
    await add(here, admin, "203.0.113.0/24")
    with capture_logs() as logs:
        await asyncio.gather(*(here.core.networks.book.refresh() for _ in range(20)))
    assert not logs


async def test_of_many_who_add_the_same_one_makes_it_and_the_others_renew_it(here, there, admin):
    answers = await asyncio.gather(*(add(each, admin, "203.0.113.0/24") for each in (here, there) * 10))
    assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert (
        await listed(here, admin) == await listed(there, admin) == [("203.0.113.0/24", "denied", "database")]
    )


async def test_ten_thousand_entries_are_as_many_as_there_can_be_and_are_listed_page_by_page(
    here, there, admin
):
    await here.sql(
        """INSERT INTO networks (id, network, verdict, because)
           SELECT gen_random_uuid(), set_masklen('10.0.0.0'::inet + 2 * n, 32)::cidr, 'denied', ''
             FROM generate_series(1, $1::int) n""",
        MAX_STORED - 3,
    )
    await here.sql("UPDATE networks_version SET version = version + 1")
    answers = await asyncio.gather(
        *(add(service, admin, f"203.0.113.{n}") for n in range(5) for service in (here, there))
    )
    codes = sorted({(each.json()["network"]): each.status_code for each in answers if each.status_code < 400})
    assert len(codes) == 3
    assert {each.json()["code"] for each in answers if each.status_code > 400} == {"too_many_networks"}
    assert (await add(here, admin, codes[0])).status_code == 200  # it is there already
    with pytest.raises(TooManyNetworks):
        await here.core.networks.add(Operator(), NewNetwork("192.0.2.1", Verdict.ALLOWED), address=None)
    assert judge(here, "10.0.0.2") is judge(here, "10.0.0.4") is Verdict.DENIED
    assert judge(here, "10.0.0.3") is Verdict.NEITHER
    found, cursor = [], dict[str, str]()
    while True:
        answer = await here.client.get(NETWORKS, params={"limit": 200, **cursor}, headers=admin)
        found += [each["network"] for each in answer.json()["items"]]
        if answer.json()["next_cursor"] is None:
            break
        cursor = {"cursor": answer.json()["next_cursor"]}
    assert len(found) == len(set(found)) == MAX_STORED


async def test_pages_lead_from_one_to_the_next_where_entries_come_and_go(here, admin):
    for n in range(5):
        for verdict in ("allowed", "denied"):
            await add(here, admin, f"203.0.113.{2 * n}", verdict)
    first = (await here.client.get(NETWORKS, params={"limit": 3}, headers=admin)).json()
    await here.client.delete(f"{NETWORKS}/{first['items'][-1]['id']}", headers=admin)
    await add(here, admin, "203.0.113.1")
    rest = await here.client.get(NETWORKS, params={"cursor": first["next_cursor"]}, headers=admin)
    assert [each["network"][-4] for each in rest.json()["items"]] == list("2446688")
    bad = await here.client.get(NETWORKS, params={"cursor": first["next_cursor"][:-1] + "_"}, headers=admin)
    assert bad.status_code == 422


async def test_who_may_only_read_may_not_write(here, admin):
    person = await register(here.client)
    await here.sql("INSERT INTO roles (name, permissions) VALUES ('looks', '{networks:read}')")
    await here.sql("UPDATE authorization_state SET version = version + 1")
    await here.sql("INSERT INTO user_roles (user_id, role) VALUES ($1::text::uuid, 'looks')", person.id)
    assert (await here.client.get(NETWORKS, headers=person.bearer)).status_code == 200
    entry = (await add(here, admin, "203.0.113.0/24")).json()
    for answer in (
        await add(here, person.bearer, "198.51.100.0/24"),
        await here.client.delete(f"{NETWORKS}/{entry['id']}", headers=person.bearer),
    ):
        assert (answer.status_code, answer.json()["permission"]) == (403, "networks:write")
    assert len(await listed(here, admin)) == 1


async def test_asvs_v5_8_2_4_a_country_that_is_denied_is_refused_unless_a_list_says_otherwise(urls, tmp_path):
    write_places(
        tmp_path / "places.mmdb", {"203.0.113.0/24": {"country": "XA"}, "2001:db8::/32": {"country": "XB"}}
    )
    configured = {"LIMITS__PLACES_FILES": str(tmp_path / "places.mmdb"), "LIMITS__DENY_COUNTRIES": "XA,XC"}
    async with serving_over(urls, **PROXIED, **configured) as service:
        admin = (await service.make_admin()).bearer
        assert (await status(service, SOMEWHERE), await status(service, ELSEWHERE)) == (403, 200)
        assert await status(service, "198.51.100.7") == 200  # nobody knows where that is
        assert (await add(service, admin, "203.0.113.8/31", "allowed")).status_code == 201
        assert (await status(service, SOMEWHERE), await status(service, "203.0.113.7")) == (200, 403)


STRICT = {"LIMITS__MODE": "enforce", "LIMITS__DEGRADED_SHARE": "1"}
POLICY = "/api/v1/auth/policy"


async def test_an_address_that_is_allowed_is_never_limited(urls):
    async with serving_over(urls, **PROXIED, **STRICT, LIMITS__RULES__ADDRESS__LIMIT="3") as service:
        new = NewNetwork("203.0.113.0/24", Verdict.ALLOWED)
        await service.core.networks.add(Operator(), new, address=None)
        allowed = [await status(service, SOMEWHERE, POLICY) for _ in range(10)]
        others = [await status(service, ELSEWHERE, POLICY) for _ in range(10)]
    assert (allowed, others) == ([200] * 10, [200] * 3 + [429] * 7)


async def test_a_rule_holds_for_the_countries_and_networks_that_it_names(urls, tmp_path):
    write_places(tmp_path / "p.mmdb", {"203.0.113.0/24": {"country": "XA"}, "2001:db8::/32": {"asn": 64496}})
    rule = {
        "ROUTES": "read",
        "PER": "address",
        "LIMIT": "3",
        "WINDOW_SECS": "60",
        "COUNTRIES": "XA",
        "ASNS": "64496",
    }
    configured = {"LIMITS__PLACES_FILES": str(tmp_path / "p.mmdb")} | {
        f"LIMITS__RULES__WATCHED__{name}": value for name, value in rule.items()
    }
    async with serving_over(urls, **PROXIED, **STRICT, **configured) as service:
        for address, expected in ((SOMEWHERE, 429), (ELSEWHERE, 429), ("198.51.100.7", 200)):
            answers = [await status(service, address, POLICY) for _ in range(10)]
            assert answers == [200] * 3 + [expected] * 7


async def test_cve_class_52_many_addresses_of_one_64_are_limited_as_one(urls):
    async with serving_over(urls, **PROXIED, **STRICT, LIMITS__RULES__ADDRESS__LIMIT="20") as service:
        let_through = 0
        for n in range(200):
            let_through += await status(service, f"2001:db8:1:2:{n:x}::7", POLICY) == 200
    assert let_through == 20


async def test_cve_class_52_the_left_end_of_a_header_neither_opens_nor_shuts_anything(here, admin):
    await add(here, admin, "203.0.113.0/24")
    await add(here, admin, "198.51.100.0/24", "allowed")
    assert await status(here, f"198.51.100.7, {SOMEWHERE}") == 403
    assert await status(here, f"{SOMEWHERE}, 192.0.2.1") == 200
    assert await status(here, "::ffff:203.0.113.9") == 403
    assert await status(here, f"{SOMEWHERE}:4711") == 403


@pytest.mark.parametrize("header", ["a", "", ",", "x" * 10_000, "fe80::1%eth0", "999.1.1.1"])
async def test_cve_class_53_an_address_that_cannot_be_read_is_judged_as_the_proxys(here, header):
    await here.core.networks.add(Operator(), NewNetwork("127.0.0.1", Verdict.DENIED), address=None)
    assert await status(here, header) == 403
    await here.core.networks.add(Operator(), NewNetwork("127.0.0.1", Verdict.ALLOWED), address=None)
    assert await status(here, header) == 200


async def test_the_client_of_a_unix_socket_is_in_no_list(here):
    await here.core.networks.add(Operator(), NewNetwork("127.0.0.1", Verdict.DENIED), address=None)
    transport = httpx2.ASGITransport(app=here.app, client=("unix", 0))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:3000") as client:
        assert (await client.get("/.well-known/jwks.json")).status_code == 200
