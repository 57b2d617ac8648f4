"""What is read as a body, and what is said of one that cannot be taken: never that it is our fault."""

import json

import pytest

from keystead.api.rest.decoding import MAX_ERRORS
from keystead.api.rest.routes import AUTH_BODY_BYTES
from tests.contract.answers import check_problem
from tests.contract.good_requests import WRITING, path_of
from tests.contract.service import login, send
from tests.support.people import PASSWORD, new_email, register

pytestmark = pytest.mark.anyio

REGISTER = "/api/v1/auth/register"
ME = "/api/v1/users/me"
# Ids of nothing: no such request gets as far as to look for them.
ID = "01890000-0000-7000-8000-000000000000"
NAMES = dict.fromkeys(("user_id", "session_id", "account_id", "key_id"), ID) | {
    "name": "user",
    "client_id": "nothing",
}


async def send_to(service, route, content, admin, **headers):
    """To a route of WRITING, by somebody who may."""
    bearer = admin.bearer if route.needs_identity else {}
    return await send(service, content, path=path_of(route, NAMES), method=route.method, **bearer, **headers)


async def in_chunks(data):
    for start in range(0, len(data), 1000):
        yield data[start : start + 1000]


@pytest.mark.parametrize("route", WRITING, ids=lambda route: f"{route.method} {route.path}")
async def test_a_body_over_the_limit_is_413_whether_declared_or_in_chunks(service, admin, route):
    limit = route.max_body_bytes or service.settings.server.max_request_size
    for content in (b" " * (limit + 1), in_chunks(b" " * (limit + 1))):
        answer = await send_to(service, route, content, admin)
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
    service, admin, route, headers
):
    answer = await service.client.request(
        route.method, path_of(route, NAMES), content=b"{}", headers=headers | admin.bearer
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
async def test_asvs_v5_1_5_3_what_is_no_acceptable_json_is_400(service, admin, route, name):
    answer = await send_to(service, route, MALFORMED[name], admin)
    if name == "empty" and route.body_is_optional:
        assert answer.status_code == 401
    else:
        check_problem(answer, 400, "malformed_request")


async def test_nesting_of_a_whole_body_is_refused(service, person):
    for content in ("[" * 60_000, '{"a":' * 13_000):
        answer = await send(service, content, path=ME, method="PUT", **person.bearer)
        check_problem(answer, 400, "malformed_request")


@pytest.mark.parametrize("value", ["", "-1", "+1", "1e3", "0x10", "1,1", "1 1", "٣", "9" * 30, "0" * 5000])
async def test_a_content_length_that_is_none_is_400(service, value):
    answer = await send(service, b"{}", **{"content-length": value.encode("utf-8")})
    check_problem(answer, 400, "malformed_request")


def errors_of(answer):
    """Pointer → code of every bad field."""
    body = check_problem(answer, 422, "invalid_input")
    assert all(set(error) - {"strength"} == {"pointer", "code", "message"} for error in body["errors"])
    return {error["pointer"]: error["code"] for error in body["errors"]}


@pytest.mark.parametrize("content", ["null", "true", "1", '"text"', "[]", "[{}]"])
@pytest.mark.parametrize("route", WRITING, ids=lambda route: f"{route.method} {route.path}")
async def test_a_body_that_is_no_object_is_422(service, admin, route, content):
    answer = await send_to(service, route, content, admin)
    if content == '"text"' and route.text_body is not None:
        assert answer.status_code in (401, 404)  # it was read, and is of nothing
    else:
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


async def test_nul_may_stand_in_a_password_and_in_preferences(service):
    await register(service.client, email=(email := new_email()), password=PASSWORD + "\0end")
    assert (await login(service.client, email, PASSWORD)).status_code == 401
    answer = await login(service.client, email, PASSWORD + "\0end")
    assert answer.status_code == 200
    bearer = {"authorization": f"Bearer {answer.json()['access_token']}"}
    for preferences in ({"a": "\0"}, {"\0": 1}, {"a": [{"b": "x\0"}]}):
        body = json.dumps({"preferences": preferences})
        assert (await send(service, body, path=ME, method="PUT", **bearer)).status_code == 200
        assert (await service.client.get(ME, headers=bearer)).json()["preferences"] == preferences


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
