"""Every refusal is a problem (RFC 9457) with a stable code, whatever was sent; no input is our fault."""

import asyncio
import importlib
import json
import pkgutil
import re
from http import HTTPStatus

import pytest

import keystead
from keystead.accounts.verify_user import SeveralAttempts
from keystead.api.rest.catalogue import ROUTES
from keystead.api.rest.decoding import MAX_ERRORS
from keystead.api.rest.problems import STATUS, InternalError, headers_of, problem_of, status_of
from keystead.api.rest.routes import AUTH_BODY_BYTES, Reply, Route
from keystead.api.rest.server import Environment, PathApp
from keystead.jwt.keyring import NoSigningKey
from keystead.kernel.caller import Access
from keystead.kernel.db import DatabaseUnavailable
from keystead.kernel.errors import Refusal
from keystead.kernel.redis import RedisUnavailable
from keystead.kernel.telemetry import HTTP_REQUESTS
from tests.contract.service import login, serving
from tests.support.people import PASSWORD, new_email, refresh, register

pytestmark = pytest.mark.anyio

LOGIN = "/api/v1/auth/login"
REGISTER = "/api/v1/auth/register"
ME = "/api/v1/users/me"
JSON = {"content-type": "application/json"}
DEEP = "[" * 100_000
WRITING = [route for route in ROUTES if route.body is not None]


def refusals():
    """Every refusal there is, once everything has been imported."""
    for module in pkgutil.walk_packages(keystead.__path__, "keystead."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, ahead = set(), [Refusal]
    while ahead:
        below = ahead.pop().__subclasses__()
        ahead.extend(below)
        found.update(kind for kind in below if kind.__module__.startswith("keystead."))
    return sorted(found, key=lambda kind: (kind.__module__, kind.__name__))


# Refusals whose status is that of an ancestor, on purpose.
BY_ANCESTOR = {DatabaseUnavailable, NoSigningKey, RedisUnavailable}


def test_every_refusal_stands_in_the_status_table_or_has_an_ancestor_there_by_intention():
    assert {kind for kind in refusals() if kind not in STATUS} == BY_ANCESTOR
    assert {status_of(kind) for kind in BY_ANCESTOR} == {HTTPStatus.SERVICE_UNAVAILABLE}


def test_every_code_is_stable_in_form_and_belongs_to_one_refusal():
    codes = [kind.code for kind in STATUS]
    assert len(codes) == len(set(codes))
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", code) for code in codes)
    assert all(kind.message.endswith(".") for kind in refusals())


@pytest.mark.parametrize("kind", STATUS, ids=lambda kind: kind.code)
async def test_every_code_has_a_page(service, kind):
    answer = await service.client.get(f"/docs/errors/{kind.code}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert kind.code in answer.text
    assert str(STATUS[kind].value) in answer.text


@pytest.mark.parametrize("code", ["nonsense", "<script>", "invalid_input.html", "INVALID_INPUT", "code"])
async def test_there_is_no_page_for_another_word(service, code):
    answer = await service.client.get(f"/docs/errors/{code}")
    check_problem(answer, 404, "not_found")


@pytest.mark.parametrize("kind", STATUS, ids=lambda kind: kind.code)
def test_a_401_says_how_to_authenticate_and_a_503_and_a_429_say_when_to_come_back(kind):
    refusal = kind.__new__(kind)
    refusal.detail = {"allow": "GET"}
    headers = headers_of(refusal)
    status = status_of(kind)
    assert ("www-authenticate" in headers) == (status == HTTPStatus.UNAUTHORIZED)
    assert ("retry-after" in headers) == (
        status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
    )
    assert ("allow" in headers) == (status == HTTPStatus.METHOD_NOT_ALLOWED)


async def send(service, content, *, path=LOGIN, method="POST", **headers):
    return await service.client.request(method, path, content=content, headers=JSON | headers)


@pytest.mark.parametrize(
    "path", ["/", "/api", "/api/v1/auth", "/api/v1/auth/login/", "/API/V1/AUTH/LOGIN", "/admin", "/health/"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "PROPFIND"])
async def test_what_is_not_declared_is_404(service, method, path):
    check_problem(await service.client.request(method, path), 404, "not_found")


@pytest.mark.parametrize("path", sorted({route.path for route in ROUTES if "{" not in route.path}))
async def test_asvs_v5_4_1_4_another_method_is_405_with_allow(service, path):
    declared = {route.method for route in ROUTES if route.path == path}
    allowed = declared | ({"HEAD"} if "GET" in declared else set())
    for method in {
        "GET",
        "HEAD",
        "POST",
        "PUT",
        "PATCH",
        "DELETE",
        "OPTIONS",
        "TRACE",
        "PROPFIND",
        "X",
    } - allowed:
        answer = await service.client.request(method, path)
        if method != "HEAD":
            check_problem(answer, 405, "method_not_allowed")
        assert answer.status_code == 405
        assert set(answer.headers["allow"].split(", ")) == allowed


async def in_chunks(data):
    for start in range(0, len(data), 1000):
        yield data[start : start + 1000]


@pytest.mark.parametrize("route", WRITING, ids=lambda route: f"{route.method} {route.path}")
async def test_a_body_over_the_limit_is_413_whether_declared_or_in_chunks(service, person, route):
    limit = route.max_body_bytes or service.settings.server.max_request_size
    for content in (b" " * (limit + 1), in_chunks(b" " * (limit + 1))):
        answer = await send(service, content, path=route.path, method=route.method, **person.bearer)
        assert check_problem(answer, 413, "payload_too_large")["max_bytes"] == limit
        assert answer.headers["connection"] == "close"


async def test_the_limit_of_auth_routes_is_16_kib_and_a_body_of_just_that_is_read(service):
    body = json.dumps({"email": new_email(), "password": PASSWORD}).encode()
    answer = await send(service, body + b" " * (AUTH_BODY_BYTES - len(body)))
    check_problem(answer, 401, "invalid_credentials")


@pytest.mark.parametrize("route", WRITING, ids=lambda route: f"{route.method} {route.path}")
@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {},
        {"content-type": ""},
        {"content-type": "application/jsonp"},
        {"content-type": "application/json-patch+json"},
        {"content-type": "text/json"},
        {"content-type": "application/json, text/plain"},
        {"content-type": "application/json; charset=utf-16"},
        {"content-type": "application/json; charset=iso-8859-1"},
        {"content-type": "application/json", "content-encoding": "gzip"},
        {"content-type": "application/json", "content-encoding": "br"},
        {"content-type": "application/json", "content-encoding": "deflate, gzip"},
    ],
    ids=str,
)
async def test_asvs_v5_3_5_2_and_cve_class_84_only_plain_json_in_utf_8_is_read(
    service, person, route, headers
):
    answer = await service.client.request(
        route.method, route.path, content=b"{}", headers=headers | person.bearer
    )
    check_problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        "application/json;charset=UTF-8",
        'application/json; charset="utf-8"',
    ],
)
async def test_json_in_utf_8_is_read_however_it_is_announced(service, content_type):
    body = json.dumps({"email": new_email(), "password": PASSWORD})
    check_problem(await send(service, body, **{"content-type": content_type}), 401, "invalid_credentials")


async def test_a_merge_patch_may_be_announced_as_one_and_nothing_else_may(service, person):
    announced = {"content-type": "application/merge-patch+json"}
    answer = await send(service, "{}", path=ME, method="PATCH", **person.bearer, **announced)
    assert answer.status_code == 200
    check_problem(
        await send(service, "{}", path=ME, method="PUT", **person.bearer, **announced),
        415,
        "unsupported_media_type",
    )


MALFORMED = {
    "empty": b"",
    "blank": b"  \n",
    "cut off": b'{"email":"a',
    "trailing comma": b'{"email":"a",}',
    "trailing text": b"{} {}",
    "single quotes": b"{'email':'a'}",
    "comment": b"{/* */}",
    "bare word": b"undefined",
    "NaN": b'{"email":NaN,"password":"x"}',
    "Infinity": b'{"email":-Infinity,"password":"x"}',
    "a float beyond range": b'{"email":1e400,"password":"x"}',
    "a number of 10000 digits": b'{"email":' + b"9" * 10_000 + b"}",
    "a control character in a string": b'{"email":"a\nb"}',
    "a member twice": b'{"email":"a@example.com","email":"b@example.com","password":"x"}',
    "a member twice in two spellings": b'{"password":"x","\\u0070assword":"y","email":"a@example.com"}',
    "nine levels": b'{"email":' + b"[" * 9 + b"]" * 9 + b"}",
    "ten thousand levels": b"[" * 10_000,
    "half a surrogate pair": b'{"email":"\\ud800","password":"x"}',
    "half a surrogate pair in a name": b'{"\\udfff":1}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"email":"a"}'.encode("utf-16"),
    "Latin-1": '{"email":"é"}'.encode("latin-1"),
    "overlong UTF-8": b'{"email":"\xc0\xaf"}',
    "a surrogate in UTF-8": b'{"email":"\xed\xa0\x80"}',
}


@pytest.mark.parametrize("route", WRITING, ids=lambda route: f"{route.method} {route.path}")
@pytest.mark.parametrize("name", MALFORMED)
async def test_asvs_v5_1_5_3_what_is_no_acceptable_json_is_400(service, person, route, name):
    bearer = person.bearer if route.needs_identity else {}
    answer = await send(service, MALFORMED[name], path=route.path, method=route.method, **bearer)
    if name == "empty" and route.body_is_optional:
        assert answer.status_code == 401
    else:
        check_problem(answer, 400, "malformed_request")


async def test_nesting_of_a_whole_megabyte_is_refused(service, person):
    for content in ("[" * 1_000_000, '{"a":' * 200_000):
        answer = await send(service, content, path=ME, method="PUT", **person.bearer)
        check_problem(answer, 400, "malformed_request")


@pytest.mark.parametrize("value", ["", "-1", "+1", "1e3", "0x10", "1,1", "1 1", "٣", "9" * 30, "0" * 5000])
async def test_a_content_length_that_is_none_is_400(service, value):
    answer = await send(service, b"{}", **{"content-length": value.encode("utf-8")})
    check_problem(answer, 400, "malformed_request")


def errors_of(answer):
    """Pointer → code of every bad field."""
    body = check_problem(answer, 422, "invalid_input")
    assert all(set(error) == {"pointer", "code", "message"} for error in body["errors"])
    return {error["pointer"]: error["code"] for error in body["errors"]}


@pytest.mark.parametrize("content", ["null", "true", "1", '"text"', "[]", "[{}]"])
@pytest.mark.parametrize("route", WRITING, ids=lambda route: f"{route.method} {route.path}")
async def test_a_body_that_is_no_object_is_422(service, person, route, content):
    bearer = person.bearer if route.needs_identity else {}
    answer = await send(service, content, path=route.path, method=route.method, **bearer)
    assert errors_of(answer) == {"": "wrong_type"}


@pytest.mark.parametrize("value", [None, True, 0, 1.5, [], {}, ["a@example.com"], {"$ne": ""}], ids=str)
async def test_asvs_v5_15_3_5_and_cve_class_41_a_value_of_another_type_is_422_for_every_field_at_once(
    service, value
):
    answer = await send(service, json.dumps({"email": value, "password": value}))
    assert errors_of(answer) == {"/email": "invalid", "/password": "invalid"}
    answer = await send(service, json.dumps({"refresh_token": value}), path="/api/v1/auth/refresh")
    assert errors_of(answer) == {"/refresh_token": "invalid"}


async def test_every_bad_field_is_listed_by_json_pointer(service):
    body = {"email": 1, "full_name": ["x"], "is_admin": True, "a/b": 1, "c~d": 2, "": 3}
    answer = await send(service, json.dumps(body), path=REGISTER)
    assert errors_of(answer) == {
        "/email": "invalid",
        "/password": "missing",
        "/full_name": "invalid",
        "/is_admin": "unknown_field",
        "/a~1b": "unknown_field",
        "/c~0d": "unknown_field",
        "/": "unknown_field",
    }


async def test_a_hundred_bad_fields_are_listed_and_the_known_ones_first(service):
    body = {f"f{number}": number for number in range(500)}
    errors = errors_of(await send(service, json.dumps(body), path=REGISTER))
    assert len(errors) == MAX_ERRORS
    assert list(errors)[:2] == ["/email", "/password"]


@pytest.mark.xfail(strict=True, reason="the rules of a registration stop at the first field that breaks one")
async def test_every_field_that_breaks_a_rule_is_listed(service):
    body = {"email": "no address", "password": "short", "full_name": "\u0007"}
    assert set(errors_of(await send(service, json.dumps(body), path=REGISTER))) == {
        "/email",
        "/password",
        "/full_name",
    }


@pytest.mark.parametrize("text", ["\0", "a\0b", "\x1b[31m", "a\r\nb", "\u202e", "\u2028"], ids=ascii)
async def test_text_that_cannot_be_printed_is_422_where_people_read_it(service, person, text):
    answer = await send(service, json.dumps({"email": f"a{text}@example.com", "password": PASSWORD}))
    assert errors_of(answer) == {"/email": "email_invalid"}
    answer = await send(service, json.dumps({"full_name": text}), path=ME, method="PUT", **person.bearer)
    assert errors_of(answer) == {"/full_name": "full_name_invalid"}


async def test_nul_may_stand_in_a_password_and_not_in_preferences(service):
    await register(service.client, email=(email := new_email()), password=PASSWORD + "\0end")
    assert (await login(service.client, email, PASSWORD)).status_code == 401
    answer = await login(service.client, email, PASSWORD + "\0end")
    assert answer.status_code == 200
    bearer = {"authorization": f"Bearer {answer.json()['access_token']}"}
    for preferences in ({"a": "\0"}, {"\0": 1}, {"a": [{"b": "x\0"}]}):
        answer = await send(
            service, json.dumps({"preferences": preferences}), path=ME, method="PUT", **bearer
        )
        assert errors_of(answer) == {"/preferences": "preferences_invalid"}


@pytest.mark.parametrize(
    "number", [2**53 + 1, -(2**63), 2**64, 10**300, 1e25, 1e308, 5e-324, 0.1, -7.0], ids=str
)
async def test_a_number_that_is_accepted_comes_back_as_the_same_number(service, number):
    person = await register(service.client)
    body = json.dumps({"preferences": {"number": number}})
    answer = await send(service, body, path=ME, method="PUT", **person.bearer)
    assert answer.status_code == 200
    shown = (await service.client.get(ME, headers=person.bearer)).json()
    assert type(number)(shown["preferences"]["number"]) == number


async def test_what_is_asked_too_often_is_429_with_retry_after(service):
    person = await register(service.client)
    answers = [await refresh(service.client, person.refresh_token) for _ in range(22)]
    assert [answer.status_code for answer in answers] == [200] * 21 + [429]
    check_problem(answers[-1], 429, "too_many_refreshes")
    assert answers[-1].headers["retry-after"] == "1"


async def test_more_hashing_than_can_wait_is_503_with_retry_after(cluster):
    slow = {"AUTH__HASH_THREADS": "1", "AUTH__ARGON2__MEMORY_KIB": "16384"}
    async with serving(cluster, **slow) as service:
        bodies = [{"email": new_email(), "password": PASSWORD} for _ in range(30)]
        answers = await asyncio.gather(*(service.client.post(REGISTER, json=body) for body in bodies))
    refused = [answer for answer in answers if answer.status_code != 201]
    assert 0 < len(refused) < 30
    for answer in refused:
        check_problem(answer, 503, "overloaded")
        assert answer.headers["retry-after"] == "1"


async def test_without_the_database_everything_that_needs_it_is_503_and_the_process_stays_alive(cluster):
    async with serving(cluster) as service:
        person = await register(service.client)
        ((name,),) = await service.sql("SELECT current_database()")
        await cluster.execute(
            f"ALTER DATABASE {name} CONNECTION LIMIT 0",
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
        )
        answers = [
            await service.client.get(ME, headers=person.bearer),
            await login(service.client, person.email),
            await refresh(service.client, person.refresh_token),
            await service.client.get("/health/ready"),
        ]
        live = await service.client.get("/health/live")
    for answer in answers:
        check_problem(answer, 503, "unavailable")
        assert answer.headers["retry-after"] == "1"
    assert live.status_code == 200


async def test_a_request_that_takes_too_long_is_408_and_its_connection_closes(cluster):
    async def endless():
        yield b"{"
        await asyncio.sleep(30)

    async with serving(cluster, SERVER__REQUEST_TIMEOUT_SECS="0.05") as service:
        answer = await send(service, endless())
    check_problem(answer, 408, "request_timeout")
    assert answer.headers["connection"] == "close"


async def test_a_client_that_leaves_gets_no_answer_and_counts_as_no_failure_of_ours(service):
    async def receive():
        return {"type": "http.disconnect"}

    sent = []

    async def keep(message):
        sent.append(message)

    scope = service_scope(
        "POST", LOGIN, headers=[(b"host", b"localhost"), (b"content-type", b"application/json")]
    )
    before = {status: HTTP_REQUESTS.labels("POST", LOGIN, status)._value.get() for status in (499, 500)}
    await service.app(scope, receive, keep)
    assert sent == []
    assert HTTP_REQUESTS.labels("POST", LOGIN, 499)._value.get() == before[499] + 1
    assert HTTP_REQUESTS.labels("POST", LOGIN, 500)._value.get() == before[500]


def service_scope(method, path, headers):
    """What a server hands to an ASGI application."""
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": headers,
        "client": ("127.0.0.1", 1),
    }


class Broken(Exception):
    """Holds what no client may see."""


async def breaks(_call):
    raise Broken("postgresql://user:hunter2@db/keystead")


async def cannot_be_encoded(_call):
    return Reply(body=object())


@pytest.mark.parametrize("handler", [breaks, cannot_be_encoded])
async def test_asvs_v5_16_5_1_a_failure_of_ours_is_a_500_that_tells_nothing(service, handler):
    route = Route(method="GET", path="/x", handler=handler, summary="", answers=(), requires=Access.PUBLIC)
    app = PathApp("/x", {"GET": route}, Environment(service.core, service.settings, drain=None))
    sent = []

    async def keep(message):
        sent.append(message)

    await app(service_scope("GET", "/x", [(b"host", b"localhost")]), None, keep)
    assert sent[0]["status"] == 500
    problem = json.loads(sent[1]["body"])
    assert problem == problem_of(InternalError(), problem["request_id"])


def test_a_conflict_names_what_to_choose_from():
    problem = problem_of(SeveralAttempts(attempts=[{"id": "1"}]), "request")
    assert (problem["status"], problem["attempts"]) == (409, [{"id": "1"}])
