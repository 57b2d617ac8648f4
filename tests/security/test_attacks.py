"""What attackers send: too much, in other spellings, in somebody else's name, and all at once."""

import asyncio
import base64
import json
from collections import Counter
from urllib.parse import unquote

import pytest

from keystead.api.rest.catalogue import ROUTES
from tests.contract.answers import check_problem
from tests.contract.service import asgi_scope, login, send, serving, serving_over
from tests.support.people import PASSWORD, new_email, refresh, register

pytestmark = pytest.mark.anyio

ME = "/api/v1/users/me"
LOGIN = "/api/v1/auth/login"
REGISTER = "/api/v1/auth/register"
WRITING = [route for route in ROUTES if route.body is not None]
MIB = 1 << 20


def good(route, person):
    """A body that the route takes."""
    return {
        "RegisterBody": {"email": new_email(), "password": PASSWORD, "full_name": "John Doe"},
        "LoginBody": {"email": person.email, "password": PASSWORD},
        "RefreshTokenBody": {"refresh_token": person.refresh_token},
        "ProfileBody": {"full_name": "Jane Doe", "preferences": {}},
    }[route.body.__name__]


# Too much


@pytest.mark.parametrize("size", [9000, 100_000, MIB])
@pytest.mark.parametrize("route", WRITING, ids=lambda route: f"{route.method} {route.path}")
async def test_cve_class_36_and_55_a_huge_value_in_any_field_is_refused_without_hashing(
    service, person, hashes, route, size
):
    body = good(route, person)
    bearer = person.bearer if route.needs_identity else {}
    for name in body:
        for value in ("x" * size, ["x"] * (size // 4), {f"k{n}": 1 for n in range(size // 10)}):
            content = json.dumps(body | {name: value})
            answer = await send(service, content, path=route.path, method=route.method, **bearer)
            assert answer.status_code in (413, 422), answer.text[:200]
            assert len(answer.content) < 2000
    assert hashes == []


async def test_a_body_of_many_members_is_refused_in_few_words(service, person):
    members = json.dumps({f"{number}": 0 for number in range(100_000)})
    answer = await send(service, members, path=ME, method="PUT", **person.bearer)
    check_problem(answer, 422, "invalid_input")
    assert len(answer.json()["errors"]) == 100
    check_problem(await send(service, members), 413, "payload_too_large")


@pytest.mark.parametrize(
    "token", ["x" * 9000, "." * 9000, "a." * 4000, "rt_" + "A" * 9000, "é" * 100, " ", "\x0b"]
)
async def test_cve_class_12_a_huge_or_odd_bearer_token_is_refused(service, token):
    for method, path in (("GET", ME), ("POST", "/api/v1/auth/refresh"), ("POST", "/api/v1/auth/logout")):
        headers = {"authorization": b"Bearer " + token.encode()}
        answer = await service.client.request(method, path, headers=headers)
        assert answer.status_code == 401
        assert len(token) < 3 or token not in answer.text


# Other spellings of the method, the path and the credential

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
            assert answered["status"] == 404


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


# In somebody else's name


async def test_asvs_v5_8_2_2_everybody_sees_their_own_account_and_nobody_elses(service):
    one = await register(service.client, full_name="One")
    other = await register(service.client, full_name="Other")
    for person, name in ((one, "One"), (other, "Other"), (one, "One")):
        for query in ("", f"?id={one.id}", f"?user_id={other.id}"):
            me = (await service.client.get(ME + query, headers=person.bearer)).json()
            assert (me["id"], me["email"], me["full_name"]) == (person.id, person.email, name)
    await service.client.put(ME, json={"full_name": "Changed"}, headers=one.bearer)
    assert (await service.client.get(ME, headers=other.bearer)).json()["full_name"] == "Other"


async def test_cve_class_32_and_8_five_hundred_people_at_once_each_get_their_own_account(cluster):
    async with serving(cluster, AUTH__HASH_THREADS="64", DATABASE__MAX_CONNECTIONS="20") as service:

        async def join(number):
            email = new_email()
            made = await until_done(attempt(service, email, full_name=str(number)) for _ in range(1000))
            pair = await until_done(login(service.client, email) for _ in range(1000))
            bearer = {"authorization": f"Bearer {pair['access_token']}"}
            me = (await service.client.get(ME, headers=bearer)).json()
            assert (me["id"], me["email"], me["full_name"]) == (made["user"]["id"], email, str(number))
            return me["id"], made["session_id"], pair["session_id"], sub_of(made), sub_of(pair)

        rows = await asyncio.gather(*(join(number) for number in range(500)))
    assert all(user == first == second for user, _, _, first, second in rows)
    assert len({user for user, *_ in rows}) == 500
    assert len({session for _, *sessions, _, _ in rows for session in sessions}) == 1000


async def attempt(service, email, *, full_name):
    return await service.client.post(
        REGISTER, json={"email": email, "password": PASSWORD, "full_name": full_name}
    )


async def until_done(attempts):
    """The first answer that is no 503: the queue of hashes is bounded, and who does not fit comes again."""
    for one in attempts:
        answer = await one
        if answer.status_code != 503:
            return answer.json()
        await asyncio.sleep(0.01)
    raise AssertionError("the service never had time")


def sub_of(pair):
    payload = pair["access_token"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["sub"]


async def test_asvs_v5_7_4_2_and_cve_class_25_a_disabled_user_is_out_on_every_path_at_once(service):
    person = await register(service.client)
    second = (await login(service.client, person.email)).json()
    await service.disable(person)
    for access, token in (
        (person.access_token, person.refresh_token),
        (second["access_token"], second["refresh_token"]),
    ):
        bearer = {"authorization": f"Bearer {access}"}
        for method, path, body in (
            ("GET", ME, None),
            ("PUT", ME, {"full_name": "x"}),
            ("PATCH", ME, {"full_name": "x"}),
            ("GET", "/health", None),
            ("POST", "/api/v1/auth/logout", None),
            ("POST", "/api/v1/auth/logout-all", None),
        ):
            answer = await service.client.request(method, path, json=body, headers=bearer)
            check_problem(answer, 401, "unauthorized")
        check_problem(await refresh(service.client, token), 401, "invalid_refresh_token")
        answer = await service.client.post("/api/v1/auth/refresh", json={"refresh_token": token})
        check_problem(answer, 401, "invalid_refresh_token")
    check_problem(await login(service.client, person.email), 401, "invalid_credentials")
    answer = await send(service, json.dumps({"email": person.email, "password": PASSWORD}), path=REGISTER)
    check_problem(answer, 409, "email_taken")


async def test_cve_class_48_fifty_right_logins_at_once_all_succeed(cluster):
    async with serving(cluster, AUTH__HASH_THREADS="4") as service:
        person = await register(service.client)
        answers = await asyncio.gather(*(login(service.client, person.email) for _ in range(50)))
    assert Counter(answer.status_code for answer in answers) == {200: 50}
    assert len({answer.json()["session_id"] for answer in answers}) == 50


# What answers and storage hold


async def test_cve_class_19_and_asvs_v5_14_2_6_no_answer_holds_a_hash_a_sealed_byte_or_a_key(service):
    person = await service.make_admin()
    await service.client.put(ME, json={"full_name": "Ada Lovelace"}, headers=person.bearer)
    stored = []
    for table in ("users", "data_keys", "signing_keys", "vault_keys", "installation"):
        for row in await service.sql(f"SELECT * FROM {table}"):
            stored += [
                value for name, value in row.items() if isinstance(value, bytes) or name == "password_hash"
            ]
    assert len(stored) > 10
    needles = {form for value in stored for form in forms(value)}

    answers = [await login(service.client, person.email), await refresh(service.client, person.refresh_token)]
    for route in ROUTES:
        path = route.path.replace("{code}", "forbidden")
        body = good(route, person) if route.body else None
        answers.append(await service.client.request(route.method, path, json=body, headers=person.bearer))
        answers.append(await service.client.request(route.method, path, json={"x": 1}))
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


# Passwords made with other parameters


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
