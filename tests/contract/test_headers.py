"""What every answer carries, and the id of its request."""

import pytest
from structlog.testing import capture_logs

from keystead.api.rest.catalogue import ROUTES
from tests.contract.answers import ALWAYS, REQUEST_ID, check_headers
from tests.contract.service import serving
from tests.support.people import PASSWORD, new_email, register

pytestmark = pytest.mark.anyio

CACHEABLE = {
    "/.well-known/jwks.json": "public, max-age=30",
    "/.well-known/openid-configuration": "public, max-age=30",
    "/openapi.json": "public, max-age=300",
    "/docs/style.css": "public, max-age=300",
    "/style/pages.css": "public, max-age=300",
    "/verify": "private, max-age=5",
}
PAGES = {"/docs", "/docs/errors/forbidden"}
ME = "/api/v1/users/me"


def paths():
    return [(route.method, route.path.replace("{code}", "forbidden")) for route in ROUTES]


@pytest.mark.parametrize(("method", "path"), paths())
async def test_asvs_v5_3_4_1_and_14_3_2_every_answer_carries_the_headers_of_the_contract(
    service, method, path
):
    """Without and with a credential, right and wrong, and for a method that the path does not take."""
    person = await register(service.client)
    bodies = [None, b"{", b"{}", f'{{"email": "{person.email}", "password": "{PASSWORD}"}}']
    for headers in ({}, person.bearer, {"authorization": "Bearer x"}):
        for content in bodies if method in ("POST", "PUT", "PATCH") else [None]:
            answer = await service.client.request(
                method, path, content=content, headers=headers | {"content-type": "application/json"}
            )
            is_page = path in PAGES
            check_headers(
                answer,
                policy=(
                    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
                    if is_page
                    else ALWAYS["content-security-policy"]
                ),
                cache=CACHEABLE.get(path, "no-store") if answer.is_success else "no-store",
            )
    check_headers(await service.client.request("PROPFIND", path))


@pytest.mark.parametrize("path", ["/", "/nothing/here", "/docs/errors/none", "/%2e"])
async def test_an_answer_for_what_does_not_exist_carries_them_too(service, path):
    check_headers(await service.client.get(path))


@pytest.mark.parametrize(("method", "path"), paths())
async def test_head_is_answered_like_get(service, method, path):
    if method != "GET":
        return
    admin = await service.make_admin()
    for headers in (dict[str, str](), admin.bearer):
        get = await service.client.get(path, headers=headers)
        head = await service.client.head(path, headers=headers)
        assert head.status_code == get.status_code
        varies = path in ("/health", "/api/v1/users/me/export") or get.is_error  # latencies, events, ids
        lengths = {"content-length"} if varies else set()
        for name in set(get.headers) - {"x-request-id", "ratelimit"} - lengths:
            assert head.headers[name] == get.headers[name]


async def test_an_answer_without_a_body_has_no_length_and_no_type(service):
    person = await register(service.client)
    answer = await service.client.post("/api/v1/auth/logout", headers=person.bearer)
    assert (answer.status_code, answer.content) == (204, b"")
    check_headers(answer)
    assert not {"content-length", "content-type"} & set(answer.headers)


async def test_the_headers_of_the_original_specification_are_a_setting(cluster):
    async with serving(cluster, SECURITY_HEADERS__LEGACY="true") as legacy:
        for path in ("/health/live", "/docs", "/nothing"):
            answer = await legacy.client.get(path)
            assert answer.headers["x-xss-protection"] == "1; mode=block"
            assert answer.headers["content-security-policy"] == "default-src 'self'"
            assert answer.headers["strict-transport-security"] == ALWAYS["strict-transport-security"]


@pytest.mark.parametrize("given", ["a" * 8, "Z9._-" * 12, "req-2026.11_23"])
async def test_a_harmless_request_id_is_taken_over(service, given):
    answer = await service.client.get(ME, headers={"x-request-id": given})
    assert answer.headers["x-request-id"] == answer.json()["request_id"] == given


@pytest.mark.parametrize(
    "given",
    [
        "",
        "short",
        "a" * 65,
        "has space in it",
        "a\tb\tc\td\te",
        "semi;colon;",
        "<script>1</script>",
        "aaaaaaa\xe9",
        "٣" * 8,
        "${jndi:ldap://x}",
        "../../etc/passwd",
        "aaaaaaaa\u2028",
        "'; DROP TABLE users; --",
    ],
    ids=ascii,
)
async def test_asvs_v5_16_4_1_and_cve_class_85_another_request_id_is_replaced(service, given):
    with capture_logs() as logs:
        answer = await service.client.get(ME, headers={"x-request-id": given.encode()})
    assert REQUEST_ID.fullmatch(answer.headers["x-request-id"])
    assert given == "" or given not in repr(logs) + answer.text


async def test_every_request_has_an_id_of_its_own(service):
    ids = {(await service.client.get("/health/live")).headers["x-request-id"] for _ in range(20)}
    assert len(ids) == 20


TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.mark.parametrize(
    ("traceparent", "is_taken"),
    [
        (f"00-{TRACE}-00f067aa0ba902b7-01", True),
        (f"00-{TRACE}-00f067aa0ba902b7-00", True),
        (f"00-{TRACE.upper()}-00f067aa0ba902b7-01", False),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", False),
        (f"00-{TRACE}-00f067aa0ba902b7", False),
        (f"00-{TRACE}-zz-01", False),
        (f"00-{TRACE}-00f067aa0ba902b7-01-extra", False),
        (f"{TRACE}", False),
        (f"00-{TRACE[:-1]}\u0661-00f067aa0ba902b7-01", False),
    ],
)
async def test_the_trace_id_of_traceparent_is_the_request_id(service, traceparent, is_taken):
    answer = await service.client.get("/health/live", headers={"traceparent": traceparent.encode()})
    assert (answer.headers["x-request-id"] == TRACE) == is_taken


async def test_an_explicit_request_id_goes_before_the_trace(service):
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01", "x-request-id": "mine-and-explicit"}
    answer = await service.client.get("/health/live", headers=headers)
    assert answer.headers["x-request-id"] == "mine-and-explicit"


async def test_audit_events_carry_the_request_id(service):
    email = new_email()
    await service.client.post(
        "/api/v1/auth/login",
        json={"email": email, "password": PASSWORD},
        headers={"x-request-id": (given := f"audit-{email[5:17]}")},
    )
    rows = await service.sql("SELECT event FROM audit_events WHERE request_id = $1", given)
    assert [row["event"] for row in rows] == ["login.failed"]
