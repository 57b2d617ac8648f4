"""What no header about hosts or proxies can change, and what must not stand in a URL."""

import pytest
from structlog.testing import capture_logs

from keystead.api.rest.catalogue import ROUTES
from tests.contract.service import asgi_scope, serving
from tests.support.people import PASSWORD, new_email

pytestmark = pytest.mark.anyio

ME = "/api/v1/users/me"


def paths():
    return [(route.method, route.path.replace("{code}", "forbidden")) for route in ROUTES]


BAD_HOSTS = [
    "",
    " ",
    "/",
    "evil.example/",
    "evil.example/path",
    "evil.example?x",
    "evil.example#x",
    "user@evil.example",
    "user:pass@evil.example",
    "evil.example:",
    "evil.example:http",
    "evil.example:80:80",
    "evil.example:-1",
    "evil.example:123456",
    "evil example",
    "evil.example,localhost",
    "evil.example;x",
    "evil.example\\localhost",
    "http://evil.example",
    "evil.example%00",
    "evil.example%2f",
    "<script>",
    "'\"",
    "[::1",
    "::1",
    "[::1]x",
    "[evil.example]",
    "[::1%25eth0]",
    "a" * 254,
    "\xe9vil.example",
    "\u0435vil.example",
    "${env:HOST}",
    "localhost\x0b",
]
GOOD_HOSTS = [
    "localhost",
    "id.example:443",
    "127.0.0.1:3000",
    "[::1]:3000",
    "[::ffff:127.0.0.1]",
    "keystead_web",
]


@pytest.mark.parametrize("host", BAD_HOSTS, ids=ascii)
async def test_cve_class_82_a_host_that_is_none_is_400(service, person, host):
    for path in ("/health/live", ME, "/nothing/here"):
        answer = await service.client.get(path, headers=person.bearer | {"host": host.encode()})
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_request")
        assert len(host) < 4 or host not in answer.text


async def test_cve_class_82_two_hosts_or_none_are_400(service):
    async def get(*hosts):
        sent = []

        async def keep(message):
            sent.append(message)

        scope = asgi_scope("GET", "/health/live", [(b"host", host) for host in hosts])
        await service.app(scope, None, keep)
        return sent[0]["status"]

    assert await get(b"localhost") == 200
    assert await get() == 400
    assert await get(b"localhost", b"localhost") == 400
    assert await get(b"localhost", b"evil.example") == 400


@pytest.mark.parametrize("host", GOOD_HOSTS)
async def test_any_well_formed_host_is_served(service, host):
    assert (await service.client.get("/health/live", headers={"host": host})).status_code == 200


SPOOFED = [
    {"host": "evil.example"},
    {"x-forwarded-host": "evil.example"},
    {"x-forwarded-proto": "https", "x-forwarded-port": "8443"},
    {"x-forwarded-for": "203.0.113.7"},
    {"x-forwarded-for": "a, , 1.2.3.4,"},
    {"x-forwarded-prefix": "/evil"},
    {"forwarded": "for=203.0.113.7;host=evil.example;proto=https"},
    {"x-original-url": "/health", "x-rewrite-url": "/health"},
    {"x-real-ip": "127.0.0.1", "true-client-ip": "127.0.0.1", "client-ip": "127.0.0.1"},
    {"x-host": "evil.example", "x-http-host-override": "evil.example"},
    {"x_forwarded_host": "evil.example"},
    {"user-agent": "kube-probe/1.30"},
    {"x-forwarded-for": ", ".join(["203.0.113.7"] * 1000)},
]


@pytest.mark.parametrize("headers", SPOOFED, ids=lambda headers: str(headers)[:80])
async def test_cve_class_83_and_91_no_header_about_hosts_or_proxies_changes_an_answer(
    service, person, headers
):
    unknown = {"email": new_email(), "password": PASSWORD}
    for method, path, more in (
        ("GET", "/.well-known/jwks.json", {}),
        ("GET", "/.well-known/openid-configuration", {}),
        ("GET", "/openapi.json", {}),
        ("GET", "/docs", {}),
        ("GET", ME, {"headers": person.bearer}),
        ("GET", ME, {}),
        ("GET", "/health", {}),
        ("GET", "/nothing", {}),
        ("POST", "/api/v1/auth/login", {"json": unknown}),
    ):
        fixed = more.get("headers", {}) | {"x-request-id": "the-same-id"}
        plain = await service.client.request(method, path, **more | {"headers": fixed})
        spoofed = await service.client.request(method, path, **more | {"headers": fixed | headers})
        assert (spoofed.status_code, spoofed.content) == (plain.status_code, plain.content)
        for answer in (plain, spoofed):
            for name in ("ratelimit", "ratelimit-policy"):  # what is left changes with each request
                answer.headers.pop(name, None)
        assert sorted(spoofed.headers.items()) == sorted(plain.headers.items())


async def test_the_issuer_and_every_link_come_from_the_settings(cluster):
    async with serving(cluster, SERVER__PUBLIC_URL="https://id.example/auth/") as service:
        spoofed = {"host": "evil.example", "x-forwarded-host": "evil.example", "x-forwarded-proto": "http"}
        answer = await service.client.get("/.well-known/openid-configuration", headers=spoofed)
        base = "https://id.example/auth"
        metadata = answer.json()
        assert metadata["issuer"] == base
        urls = {name: url for name, url in metadata.items() if name.endswith(("_uri", "_endpoint"))}
        assert urls == {
            "jwks_uri": f"{base}/.well-known/jwks.json",
            "token_endpoint": f"{base}/api/v1/auth/token",
            "introspection_endpoint": f"{base}/api/v1/auth/token/introspect",
            "revocation_endpoint": f"{base}/api/v1/auth/token/revoke",
        }


PROXIES = {"SERVER__TRUSTED_PROXIES": "127.0.0.0/8"}


@pytest.mark.parametrize(
    ("configured", "logged"),
    [
        ({}, "127.0.0.1"),
        (PROXIES, "203.0.113.7"),
        (PROXIES | {"SERVER__FORWARDED_HEADER": "forwarded"}, "2001:db8::7"),
    ],
)
async def test_the_logged_address_is_the_peers_unless_a_trusted_proxy_says_otherwise_in_its_header(
    cluster, configured, logged
):
    headers = [
        ("x-forwarded-for", "198.51.100.1, 203.0.113.7"),
        ("forwarded", "for=198.51.100.1"),
        ("forwarded", 'for="[2001:db8::7]:4711";proto=https'),
    ]
    async with serving(cluster, **configured) as service:
        with capture_logs() as logs:
            await service.client.get("/health/live", headers=headers)
    assert [entry["address"] for entry in logs if entry["event"] == "request"] == [logged]


@pytest.mark.parametrize(
    "name", ["access_token", "refresh_token", "token", "password", "id_token", "secret", "Access_Token"]
)
@pytest.mark.parametrize(("method", "path"), [*paths(), ("GET", "/nothing/here"), ("PROPFIND", ME)])
async def test_asvs_v5_14_2_1_a_credential_in_the_url_is_refused_and_not_logged(
    service, person, method, path, name
):
    with capture_logs() as logs:
        for query in (
            f"{name}={person.access_token}",
            f"x=1&{name}=",
            f"%{ord(name[0]):02x}{name[1:]}={person.access_token}",
        ):
            answer = await service.client.request(method, f"{path}?{query}", headers=person.bearer)
            assert (answer.status_code, answer.json()["code"]) == (400, "credential_in_url")
            assert person.access_token not in answer.text
    assert len(logs) == 3
    assert person.access_token not in repr(logs)


async def test_another_query_is_ignored_and_not_logged(service, person):
    with capture_logs() as logs:
        answer = await service.client.get(f"{ME}?canary=4f1c&page=1&page=2", headers=person.bearer)
    assert answer.status_code == 200
    assert "4f1c" not in repr(logs)
