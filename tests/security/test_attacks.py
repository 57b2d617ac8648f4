"""What attackers send: too much, and what means something to a machine behind us; and what answers give away."""

import asyncio
import base64
import json
import re

import pytest

from keystead.api.rest.catalogue import ROUTES
from tests.contract.answers import check_problem
from tests.contract.good_requests import FORMS, WRITING, good, name_of, path_of, send_good
from tests.contract.service import login, send, serving_over
from tests.support.people import PASSWORD, refresh, register

pytestmark = pytest.mark.anyio

ME = "/api/v1/users/me"
LOGIN = "/api/v1/auth/login"
REGISTER = "/api/v1/auth/register"
MIB = 1 << 20
TABLES_WITH_SECRETS = (
    *("users", "data_keys", "signing_keys", "vault_keys", "installation"),
    *("sessions", "tickets", "mails", "mail_requests", "idempotency_keys"),
    *("api_keys", "service_keys", "used_assertions"),
)


@pytest.mark.parametrize("size", [9000, 100_000, MIB])
@pytest.mark.parametrize("route", WRITING, ids=lambda route: f"{route.method} {route.path}")
async def test_cve_class_36_and_55_a_huge_value_in_any_field_is_refused_without_hashing(
    service, person, admin, hashes, route, size
):
    request = await good(service, route, admin, person)
    body = request.json or {}
    bearer = admin.bearer if route.needs_identity else {}
    hashes.clear()  # what came before was to have somebody to send it about
    values: list[object] = ["x" * size]
    if size < MIB:
        values += [["x"] * (size // 4), {f"k{n}": 1 for n in range(size // 10)}]
    for name in body:
        for value in values:
            content = json.dumps(body | {name: value})
            path = path_of(route, request.names)
            answer = await send(service, content, path=path, method=route.method, **bearer)
            assert answer.status_code in (413, 422), answer.text[:200]
            assert len(answer.content) < 2000
    assert hashes == []


async def test_a_body_of_many_members_is_refused_in_few_words(service, person):
    members = json.dumps({f"{number}": 0 for number in range(5000)})
    answer = await send(service, members, path=ME, method="PUT", **person.bearer)
    check_problem(answer, 422, "invalid_input")
    assert len(answer.json()["errors"]) == 100
    check_problem(await send(service, members), 413, "payload_too_large")  # of an auth route


@pytest.mark.parametrize(
    "token", ["x" * 9000, "." * 9000, "a." * 4000, "rt_" + "A" * 9000, "é" * 100, " ", "\x0b"]
)
async def test_cve_class_12_a_huge_or_odd_bearer_token_is_refused(service, token):
    for method, path in (("GET", ME), ("POST", "/api/v1/auth/refresh"), ("POST", "/api/v1/auth/logout")):
        headers = {"authorization": b"Bearer " + token.encode()}
        answer = await service.client.request(method, path, headers=headers)
        assert answer.status_code == 401
        assert len(token) < 3 or token not in answer.text


async def test_cve_class_19_and_asvs_v5_14_2_6_no_answer_holds_a_hash_a_sealed_byte_or_a_key(service):
    person = await service.make_admin()
    await service.client.put(ME, json={"full_name": "Ada Lovelace"}, headers=person.bearer)
    stored = []
    answers = [await login(service.client, person.email), await refresh(service.client, person.refresh_token)]
    for route in ROUTES:
        speaker, target = await service.make_admin(), await register(service.client)
        request = await good(service, route, speaker, target)
        answers.append(await send_good(service, route, request, headers=speaker.bearer))
        answers.append(await send_good(service, route, request, headers={}, body={"x": "1"}))

    for table in TABLES_WITH_SECRETS:
        for row in await service.sql(f"SELECT * FROM {table}"):
            stored += [
                value for name, value in row.items() if isinstance(value, bytes) or name == "password_hash"
            ]
    assert len(stored) > 100
    needles = {form for value in stored for form in forms(value)}
    for answer in answers:
        assert not [needle for needle in needles if needle in answer.text]
        assert "argon2" not in answer.text.replace("auth.argon2", "")


def forms(value):
    """How it might stand in a text."""
    raw = value if isinstance(value, bytes) else value.encode()
    if len(raw) < 12:
        return []
    plain = [value] if isinstance(value, str) else []
    encoded = base64.b64encode(raw).decode().rstrip("=")
    return [*plain, raw.hex(), encoded, encoded.translate(str.maketrans("+/", "-_")), repr(raw)[2:-1]]


KEYS = [
    "__proto__",
    "constructor",
    "prototype",
    "__class__",
    "__init__",
    "__dict__",
    "$where",
    "$ne",
    "toString",
    "",
    "a.b",
    "/",
    "~",
]


async def test_names_that_mean_something_to_some_language_are_names(service):
    person = await register(service.client)
    preferences = {name: {name: [name, {"isAdmin": True}]} for name in KEYS}
    for method in ("PUT", "PATCH"):
        answer = await service.client.request(
            method, ME, json={"preferences": preferences}, headers=person.bearer
        )
        assert answer.status_code == 200
        assert answer.json()["preferences"] == preferences
    for name in KEYS:
        answer = await service.client.put(ME, json={name: {"is_admin": True}}, headers=person.bearer)
        check_problem(answer, 422, "invalid_input")
    check_problem(await service.client.get("/health", headers=person.bearer), 403, "forbidden")


@pytest.mark.parametrize(
    "text",
    [
        "' OR '1'='1",
        "'; DROP TABLE users; --",
        "\\",
        "%",
        "_%",
        "{{7*7}}",
        "${7*7}",
        "<img src=x onerror=alert(1)>",
        "=cmd()",
        "$(id)",
        "\U0001f511",
    ],
)
async def test_asvs_v5_1_2_4_text_is_stored_and_shown_as_it_came(service, person, text):
    person = await register(service.client)
    for body in ({"full_name": text}, {"preferences": {text: text}}):
        answer = await service.client.put(ME, json=body, headers=person.bearer)
        assert answer.status_code == 200
    me = (await service.client.get(ME, headers=person.bearer)).json()
    assert (me["full_name"], me["preferences"]) == (text, {text: text})
    answer = await login(service.client, person.email, f"{PASSWORD}{text}")
    check_problem(answer, 401, "invalid_credentials")


async def test_cve_class_44_a_hash_of_other_parameters_is_renewed_once_and_login_goes_on(cluster):
    async with cluster.clone() as urls:
        async with serving_over(urls, AUTH__ARGON2__MEMORY_KIB="16") as older:
            person = await register(older.client)
            first = await stored_hash(older, person)
        async with serving_over(urls, AUTH__HASH_THREADS="4") as service:
            answers = await asyncio.gather(*(login(service.client, person.email) for _ in range(10)))
            second = await stored_hash(service, person)
            answers += [await login(service.client, person.email) for _ in range(3)]
            third = await stored_hash(service, person)
            wrong = await login(service.client, person.email, PASSWORD + "x")
            still = await service.client.get(ME, headers=person.bearer)
    assert [answer.status_code for answer in answers] == [200] * 13
    assert ("m=16,", "m=8,") == (parameters(first), parameters(second))
    assert third == second
    assert (wrong.status_code, still.status_code) == (401, 200)


async def stored_hash(service, person):
    ((value,),) = await service.sql("SELECT password_hash FROM users WHERE id = $1::text::uuid", person.id)
    return value


def parameters(stored):
    return stored.split("$")[3].partition(",")[0] + ","


RANGES = ["bytes=0-", "bytes=0-0", "bytes=-1", "bytes=" + ",".join(f"{at}-{at}" for at in range(500))]


async def test_cve_class_87_a_range_is_not_served(service, admin):
    for route in ROUTES:
        if route.method != "GET" or "{" in route.path or route.path.startswith("/dev/"):
            continue
        plain = await service.client.get(route.path, headers=admin.bearer)
        for ranges in RANGES:
            answer = await service.client.get(route.path, headers={**admin.bearer, "range": ranges})
            assert answer.status_code == plain.status_code, (route.path, ranges)
            assert not {"content-range", "accept-ranges"} & set(answer.headers)
            assert answer.headers.get("content-type") == plain.headers.get("content-type")


@pytest.mark.parametrize("route", [*WRITING, *FORMS], ids=name_of)
async def test_cve_class_87_no_body_in_parts_is_taken(service, admin, route):
    names = dict.fromkeys(re.findall(r"{(\w+)}", route.path), "018f0000-0000-7000-8000-000000000001")
    part = 'Content-Disposition: form-data; name="token"\r\n\r\nx'
    body = "".join(f"--x\r\n{part}\r\n" for _ in range(50)) + "--x--\r\n"
    answer = await service.client.request(
        route.method,
        path_of(route, names),
        content=body,
        headers={**admin.bearer, "content-type": "multipart/form-data; boundary=x"},
    )
    assert answer.status_code == 415, answer.text
