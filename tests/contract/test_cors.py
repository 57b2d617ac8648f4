"""Which pages may read our answers."""

import pytest

from tests.contract.answers import check_headers
from tests.contract.service import serving

pytestmark = pytest.mark.anyio

ME = "/api/v1/users/me"
ALLOWED = "https://app.example.com"
OTHER_ORIGINS = [
    "null",
    "",
    "*",
    "https://evil.example",
    "http://app.example.com",
    "https://app.example.com:443",
    "https://app.example.com:8443",
    "https://app.example.com/",
    "https://app.example.com.evil.example",
    "https://evil.example/https://app.example.com",
    "https://evilapp.example.com",
    "https://app.example.com@evil.example",
    "https://app.example.com%00.evil.example",
    "https://app.example.com\x0b.evil.example",
    "https://app_example_com",
    "https://appxexample.com",
    "https://sub.app.example.com",
    "https://APP.example.com",
    "HTTPS://app.example.com",
    "https://app.example.com ",
    "https://app.example.com, https://evil.example",
    "https://app.example.com https://evil.example",
    "https:app.example.com",
    "//app.example.com",
    "app.example.com",
    "file://",
    "data:text/html,x",
    "chrome-extension://abcdef",
    "https://localhost",
    "http://127.0.0.1:3000",
    "https://\u0430pp.example.com",
]


@pytest.fixture(scope="module")
async def shared(cluster):
    """Where one origin is allowed."""
    async with serving(cluster, CORS__ALLOWED_ORIGINS=f"{ALLOWED},http://localhost:5173") as made:
        yield made


def cors_of(answer):
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


@pytest.mark.parametrize("origin", [ALLOWED, "http://localhost:5173"])
@pytest.mark.parametrize("path", ["/health/live", ME, "/nothing"])
async def test_a_page_of_an_allowed_origin_may_read_answers_and_refusals_but_never_sends_cookies(
    shared, origin, path
):
    answer = await shared.client.get(path, headers={"origin": origin})
    assert cors_of(answer) == {
        "access-control-allow-origin": origin,
        "access-control-expose-headers": "etag, ratelimit, ratelimit-policy, retry-after, x-device-token, x-request-id",
    }
    assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
async def test_what_is_no_page_is_answered_as_ever(shared, method):
    """Programs, and browsers that follow a link, name no origin."""
    answer = await shared.client.request(method, ME)
    assert answer.status_code == (401 if method in ("GET", "HEAD") else 405)
    assert cors_of(answer) == {}
    assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize("origin", OTHER_ORIGINS)
async def test_asvs_v5_3_4_2_and_cve_class_88_another_origin_is_never_named_in_an_answer(shared, origin):
    preflight = {"access-control-request-method": "PUT", "access-control-request-headers": "authorization"}
    for method, more in (("GET", {}), ("POST", {}), ("OPTIONS", {}), ("OPTIONS", preflight)):
        answer = await shared.client.request(method, ME, headers={"origin": origin.encode(), **more})
        allowing = {"access-control-allow-origin", "access-control-allow-credentials"}
        assert not allowing & set(answer.headers)
        assert origin == "" or f'"{origin}"' not in answer.text
        assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize("origin", [ALLOWED, "null", "https://evil.example"])
async def test_without_allowed_origins_nobody_is_let_in(service, origin):
    for method in ("GET", "OPTIONS"):
        answer = await service.client.request(
            method, ME, headers={"origin": origin, "access-control-request-method": "PUT"}
        )
        assert cors_of(answer) == {}
        assert answer.status_code == {"GET": 401, "OPTIONS": 403}[method]


async def test_a_preflight_names_methods_headers_and_how_long_it_holds(shared):
    answer = await preflight(shared, "PUT", "Authorization, content-type,x-request-id")
    assert answer.status_code == 200
    assert cors_of(answer) == {
        "access-control-allow-origin": ALLOWED,
        "access-control-allow-methods": "DELETE, GET, PATCH, POST, PUT",
        "access-control-allow-headers": (
            "Accept, Accept-Language, Content-Language, Content-Type, authorization, content-type, "
            "idempotency-key, if-match, x-challenge-response, x-client-id, x-csrf-token, x-device-token, x-request-id"
        ),
        "access-control-max-age": "600",
    }
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize(
    ("origin", "method", "headers"),
    [
        ("https://evil.example", "PUT", "authorization"),
        (ALLOWED, "PROPFIND", "authorization"),
        (ALLOWED, "TRACE", ""),
        (ALLOWED, "PUT", "x-http-method-override"),
        (ALLOWED, "PUT", "authorization, x-secret"),
        (ALLOWED, "PUT", "*"),
    ],
)
async def test_a_preflight_that_is_refused_is_a_problem(shared, origin, method, headers):
    answer = await preflight(shared, method, headers, origin=origin)
    assert (answer.status_code, answer.json()["code"]) == (403, "preflight_refused")
    assert answer.headers["content-type"] == "application/problem+json"
    assert cors_of(answer) == {}
    check_headers(answer)


async def preflight(shared, method, headers, *, origin=ALLOWED):
    return await shared.client.options(
        ME,
        headers={
            "origin": origin,
            "access-control-request-method": method,
            "access-control-request-headers": headers,
        },
    )
