"""A method, a path or a credential in another spelling or another place opens nothing."""

from urllib.parse import unquote

import pytest

from tests.contract.answers import check_problem
from tests.contract.service import asgi_scope
from tests.support.people import refresh, register

pytestmark = pytest.mark.anyio

ME = "/api/v1/users/me"
REGISTER = "/api/v1/auth/register"


OVERRIDES = ("x-http-method-override", "x-http-method", "x-method-override", "x-original-method")


@pytest.mark.parametrize("header", OVERRIDES)
async def test_a_method_override_header_overrides_nothing(service, person, header):
    before = await service.client.get(ME, headers=person.bearer)
    for method in ("PUT", "DELETE", "PATCH"):
        answer = await service.client.get(f"{ME}?_method={method}", headers=person.bearer | {header: method})
        assert (answer.status_code, answer.json()) == (200, before.json())
        answer = await service.client.post(
            ME, json={"full_name": "x"}, headers=person.bearer | {header: method}
        )
        check_problem(answer, 405, "method_not_allowed")


SPELLINGS = [
    "/api/v1/users%2fme",
    "/api/v1/users%2Fme",
    "/api/v1/users/me%20",
    "/api/v1/users/me%09",
    "/api/v1/users/me%0a",
    "/api/v1/users/me%00",
    "/api/v1/users/me%3f",
    "/api/v1/users/me%23x",
    "/api/v1/users/%6de",
    "/%61pi/v1/users/me",
    "/api/v1/users/me%252f",
    "/api/v1/users/me;x",
    "/api/v1/users/me;jsessionid=1",
    "/api/v1/users;/me",
    "/api/v1/users/me/",
    "/api/v1/users/me//",
    "/api/v1//users/me",
    "//api/v1/users/me",
    "///api/v1/users/me",
    "/./api/v1/users/me",
    "/api/v1/users/./me",
    "/api/v1/auth/../users/me",
    "/docs/../api/v1/users/me",
    "/docs/errors/../../api/v1/users/me",
    "/health/live/..;/../api/v1/users/me",
    "/api/v1/auth/%2e%2e/users/me",
    "/api/v1/auth/..%2fusers/me",
    "/api/v1/auth/..%5cusers/me",
    "/api/v1/auth/.%2e/users/me",
    "\\api\\v1\\users\\me",
    "/api/v1/users\\me",
    "/api/v1/users/ME",
    "/api/v1/users/me.json",
    "/api/v1/users/me.",
    "/api/v1/users/me\n",
    "/api/v1/users/me ",
    "api/v1/users/me",
    "http://localhost/api/v1/users/me",
    "/api/v1/users/me\x00",
    "/api/v1/users/\u217ce",
    "/health%2f",
    "/health//",
    "/health;",
    "/%68ealth",
    "/health/..;/health",
]


BY_ID = {"/api/v1/users/ME", "/api/v1/users/me.json", "/api/v1/users/me."}


@pytest.mark.parametrize("spelling", SPELLINGS, ids=ascii)
async def test_asvs_v5_1_1_1_and_cve_class_83_another_spelling_of_a_path_reaches_nothing(service, spelling):
    """Both as a server that decodes the path hands it on, and as one that does not."""
    admin = await service.make_admin()
    bearer = (b"authorization", f"Bearer {admin.access_token}".encode())
    for method in ("GET", "PUT", "POST", "HEAD", "OPTIONS"):
        scope = asgi_scope(method, "/", [(b"host", b"localhost"), bearer])
        raw = spelling.encode()
        for path in {spelling, unquote(spelling)}:
            answered = await answer_to(service.app, scope | {"path": path, "raw_path": raw})
            # Some spell an id that nobody has: no user, no such method, no body to read.
            assert answered["status"] in ((404, 405, 415) if spelling in BY_ID else (404,))


async def answer_to(app, scope):
    """The start of the answer to a request without a body."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def keep(message):
        sent.append(message)

    await app(scope, receive, keep)
    return sent[0]


@pytest.mark.parametrize(
    "scheme",
    [
        "Basic",
        "Token",
        "JWT",
        "DPoP",
        "Digest",
        "Negotiate",
        "Bearer:",
        "Bearer=",
        "BearerX",
        "",
        "Basic Bearer",
    ],
)
async def test_another_scheme_is_no_credential(service, person, scheme):
    value = f"{scheme} {person.access_token}".strip()
    check_problem(await service.client.get(ME, headers={"authorization": value}), 401, "unauthorized")
    value = f"{scheme} {person.refresh_token}".strip()
    answer = await service.client.post("/api/v1/auth/refresh", headers={"authorization": value})
    check_problem(answer, 401, "invalid_refresh_token")


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_is_read_in_any_case(service, person, scheme):
    headers = {"authorization": f"{scheme} {person.access_token}"}
    assert (await service.client.get(ME, headers=headers)).status_code == 200


async def test_two_authorization_headers_are_400_even_if_both_are_right(service, person):
    other = await register(service.client)
    for first, second in ((person, person), (person, other)):
        headers = [("authorization", f"Bearer {one.access_token}") for one in (first, second)]
        check_problem(await service.client.get(ME, headers=headers), 400, "several_credentials")
    for value in (
        f"Bearer {person.access_token}, Bearer {other.access_token}",
        f"Bearer {person.access_token} x",
    ):
        check_problem(await service.client.get(ME, headers={"authorization": value}), 401, "unauthorized")


@pytest.mark.parametrize("path", ["/api/v1/auth/refresh", "/api/v1/auth/logout"])
async def test_a_token_in_the_header_and_one_in_the_body_are_400(service, path):
    person = await register(service.client)
    answer = await service.client.post(
        path, json={"refresh_token": person.refresh_token}, headers=person.bearer
    )
    check_problem(answer, 400, "several_credentials")
    assert (await refresh(service.client, person.refresh_token)).status_code == 200


@pytest.mark.parametrize(
    "place",
    ["cookie", "x-access-token", "x-auth-token", "proxy-authorization", "x-forwarded-user", "x-user-id"],
)
async def test_a_credential_anywhere_else_is_none(service, person, place):
    values = {
        "cookie": f"access_token={person.access_token}; token={person.access_token}; session={person.session_id}",
        "proxy-authorization": f"Bearer {person.access_token}",
        "x-forwarded-user": person.email,
        "x-user-id": person.id,
    }
    headers = {place: values.get(place, person.access_token)}
    check_problem(await service.client.get(ME, headers=headers), 401, "unauthorized")
    check_problem(await service.client.get("/health", headers=headers), 401, "unauthorized")


async def test_asvs_v5_9_2_2_a_token_of_one_kind_is_refused_as_the_other(service, person):
    bearer = {"authorization": f"Bearer {person.refresh_token}"}
    check_problem(await service.client.get(ME, headers=bearer), 401, "unauthorized")
    check_problem(await refresh(service.client, person.access_token), 401, "invalid_refresh_token")
    answer = await service.client.post("/api/v1/auth/logout", json={"refresh_token": person.access_token})
    check_problem(answer, 401, "invalid_refresh_token")
