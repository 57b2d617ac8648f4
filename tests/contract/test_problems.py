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
from keystead.api.rest.problems import STATUS, InternalError, headers_of, problem_of, status_of
from keystead.api.rest.routes import Reply, Route
from keystead.api.rest.server import Environment, PathApp
from keystead.jwt.keyring import NoSigningKey
from keystead.kernel.caller import Access
from keystead.kernel.db import DatabaseUnavailable
from keystead.kernel.errors import Refusal
from keystead.kernel.redis import RedisUnavailable
from keystead.kernel.telemetry import HTTP_REQUESTS
from keystead.serving.drain import Drain
from tests.contract.answers import check_problem
from tests.contract.service import asgi_scope, login, send, serving
from tests.support.people import PASSWORD, new_email, refresh, register

pytestmark = pytest.mark.anyio

LOGIN = "/api/v1/auth/login"
REGISTER = "/api/v1/auth/register"
ME = "/api/v1/users/me"


def refusals():
    """Every refusal there is, once everything has been imported."""
    for module in pkgutil.walk_packages(keystead.__path__, "keystead."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found: set[type[Refusal]] = set()
    ahead = [Refusal]
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


async def test_what_is_asked_too_often_is_429_with_retry_after(service):
    person = await register(service.client)
    answers = [await refresh(service.client, person.refresh_token) for _ in range(22)]
    assert [answer.status_code for answer in answers] == [200] * 21 + [429]
    check_problem(answers[-1], 429, "too_many_refreshes")
    assert answers[-1].headers["retry-after"] == "1"


async def test_more_hashing_than_can_wait_is_503_with_retry_after(cluster):
    slow = {
        "AUTH__HASH_THREADS": "1",
        "AUTH__ARGON2__MEMORY_KIB": "16384",
        "AUTH__LONGEST_HASH_WAIT_MS": "50",
    }
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

    scope = asgi_scope(
        "POST", LOGIN, headers=[(b"host", b"localhost"), (b"content-type", b"application/json")]
    )
    before = {status: HTTP_REQUESTS.labels("POST", LOGIN, status)._value.get() for status in (499, 500)}
    await service.app(scope, receive, keep)
    assert sent == []
    assert HTTP_REQUESTS.labels("POST", LOGIN, 499)._value.get() == before[499] + 1
    assert HTTP_REQUESTS.labels("POST", LOGIN, 500)._value.get() == before[500]


async def nothing():
    raise AssertionError("there is no body to ask for")


class Broken(Exception):
    """Holds what no client may see."""


async def breaks(_call):
    raise Broken("postgresql://user:hunter2@db/keystead")


async def cannot_be_encoded(_call):
    return Reply(body=object())


@pytest.mark.parametrize("handler", [breaks, cannot_be_encoded])
async def test_asvs_v5_16_5_1_a_failure_of_ours_is_a_500_that_tells_nothing(service, handler):
    route = Route(method="GET", path="/x", handler=handler, summary="", answers=(), requires=Access.PUBLIC)
    app = PathApp("/x", {"GET": route}, Environment(service.core, service.settings, Drain(0)))
    sent = []

    async def keep(message):
        sent.append(message)

    await app(asgi_scope("GET", "/x", [(b"host", b"localhost")]), nothing, keep)
    assert sent[0]["status"] == 500
    problem = json.loads(sent[1]["body"])
    assert problem == problem_of(InternalError(), problem["request_id"])


def test_a_conflict_names_what_to_choose_from():
    problem = problem_of(SeveralAttempts(attempts=[{"id": "1"}]), "request")
    assert (problem["status"], problem["attempts"]) == (409, [{"id": "1"}])
