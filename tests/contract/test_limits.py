"""Limits over HTTP: what a caller is told of them, and what a refusal costs."""

import asyncio
import re

import pytest
from prometheus_client import REGISTRY

from keystead.api.rest.catalogue import ROUTES
from keystead.limits.rules import DEFAULT_RULES
from keystead.limits.types import RouteClass
from tests.contract.answers import check_problem
from tests.contract.service import serving
from tests.support import throwaway
from tests.support.challenges import solve
from tests.support.people import PASSWORD, make_user, new_email, register

pytestmark = pytest.mark.anyio

ME = "/api/v1/users/me"
LOGIN = "/api/v1/auth/login"
REFRESH = "/api/v1/auth/refresh"
FORGOT = "/api/v1/auth/password/forgot"
REGISTER = "/api/v1/auth/register"
STANDING = re.compile(r'"([\w-]+)";r=(\d+);t=(\d+)')
EXCEEDED = "rate_limit_exceeded_total", {"rule": "mails"}
POLICY = re.compile(r'"([\w-]+)";q=(\d+);w=(\d+)')


@pytest.fixture(scope="module")
def valkey():
    with throwaway.valkey() as started:
        yield started


@pytest.fixture(scope="module")
async def limited(cluster, valkey):
    """As it is unless somebody says otherwise, but for a few smaller figures."""
    configured = {
        "LIMITS__MODE": "enforce",
        "LIMITS__RULES__MAILS__LIMIT": "2",
        "LIMITS__RULES__USER__LIMIT": "200",
        "LIMITS__RULES__REGISTRATIONS__LIMIT": "100",
        "LIMITS__RULES__REFRESHES__ROUTES": "refresh",
        "LIMITS__RULES__REFRESHES__PER": "address",
        "LIMITS__RULES__REFRESHES__LIMIT": "1",
        "LIMITS__RULES__REFRESHES__WINDOW_SECS": "3600",
        "LIMITS__RULES__REFRESHES__CHALLENGE": "8",
        "SERVER__TRUSTED_PROXIES": "127.0.0.0/8",
        "AUTH__MAX_LOGIN_ATTEMPTS": "100",
        "REDIS__URL": valkey.url,
        "CORS__ALLOWED_ORIGINS": "https://app.example",
    }
    async with serving(cluster, **configured) as made:
        yield made


def told(answer):
    """Name, tokens and seconds of `RateLimit`."""
    [(name, remaining, full_in)] = STANDING.findall(answer.headers["ratelimit"])
    return name, int(remaining), int(full_in)


def origin(number):
    return {"x-forwarded-for": f"198.51.{number}.7"}


async def test_every_route_is_of_a_class_and_every_class_but_free_is_limited():
    ruled = {route for rule in DEFAULT_RULES for route in rule.routes}
    assert {route.limit_class for route in ROUTES} - ruled == {RouteClass.FREE}


async def test_an_answer_tells_the_policy_and_what_is_left(limited):
    person = await register(limited.client)
    left = []
    for _ in range(3):
        answer = await limited.client.get(ME, headers=person.bearer | origin(1))
        assert POLICY.findall(answer.headers["ratelimit-policy"]) == [("user", "200", "60")]
        name, remaining, full_in = told(answer)
        assert name == "user"
        assert 0 <= full_in <= 60
        left.append(remaining)
    assert left == sorted(left, reverse=True)
    assert left[0] > left[-1]


async def test_of_routes_of_signing_in_only_the_bucket_of_the_address_is_told(limited):
    email = new_email()
    await make_user(limited.core, email)
    for body in ({"email": email, "password": PASSWORD}, {"email": email, "password": "wrong words here"}):
        answer = await limited.client.post(LOGIN, json=body, headers=origin(2))
        name, *_ = told(answer)
        rule = next(rule for rule in DEFAULT_RULES if rule.name == name)
        assert rule.per == "address"


async def test_what_is_too_much_is_429_and_nothing_is_done(limited):
    before = REGISTRY.get_sample_value(*EXCEEDED) or 0
    asked = "SELECT count(*) FROM mail_requests"
    [[noted]] = await limited.sql(asked)
    email = new_email()
    await make_user(limited.core, email)
    answers = [await limited.client.post(FORGOT, json={"email": email}, headers=origin(3)) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [202, 202, 429, 429]
    for answer in answers[2:]:
        check_problem(answer, 429, "rate_limited")
        assert 1 <= int(answer.headers["retry-after"]) <= 300
        assert told(answer)[:2] == ("mails", 0)
    assert REGISTRY.get_sample_value(*EXCEEDED) == before + 2
    assert await limited.sql(asked) == [(noted + 2,)]
    # Others are not theirs to use up.
    assert (await limited.client.post(FORGOT, json={"email": email}, headers=origin(4))).status_code == 202


async def test_who_is_refused_is_told_in_the_words_that_a_browser_lets_a_page_read(limited):
    headers = origin(5) | {"origin": "https://app.example"}
    body = {"email": new_email()}
    *_, answer = [await limited.client.post(FORGOT, json=body, headers=headers) for _ in range(3)]
    assert answer.status_code == 429
    assert answer.headers["access-control-allow-origin"] == "https://app.example"
    exposed = {name.strip().lower() for name in answer.headers["access-control-expose-headers"].split(",")}
    assert {"retry-after", "ratelimit", "ratelimit-policy"} <= exposed


async def test_a_body_is_not_read_before_the_address_is_judged(limited):
    answers = [await limited.client.post(FORGOT, content=b"{", headers=origin(6)) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [415, 415, 429]


async def test_fifty_right_logins_at_once_from_one_address_all_succeed(limited):
    email = new_email()
    await make_user(limited.core, email)
    body = {"email": email, "password": PASSWORD}
    answers = await asyncio.gather(
        *(limited.client.post(LOGIN, json=body, headers=origin(7)) for _ in range(50))
    )
    assert {answer.status_code for answer in answers} == {200}


async def test_a_caller_is_limited_whatever_address_they_come_from_and_no_one_else_is(limited):
    one, other = await register(limited.client), await register(limited.client)
    statuses = []
    for number in range(260):
        answer = await limited.client.get(ME, headers=one.bearer | origin(number % 250))
        statuses.append(answer.status_code)
    assert 200 <= statuses.count(200) < 260
    assert set(statuses) == {200, 429}
    assert (await limited.client.get(ME, headers=other.bearer | origin(1))).status_code == 200


async def test_health_and_keys_are_never_limited(limited):
    for path in ("/health/live", "/health/ready", "/.well-known/jwks.json"):
        answer = await limited.client.get(path, headers=origin(9))
        assert answer.status_code == 200
        assert "ratelimit" not in answer.headers


async def test_a_rule_may_ask_for_a_challenge_and_its_answer_counts_once(limited):
    person = await register(limited.client)
    headers = {"authorization": f"Bearer {person.refresh_token}"} | origin(10)
    first = await limited.client.post(REFRESH, headers=headers)
    assert first.status_code == 200
    headers["authorization"] = f"Bearer {first.json()['refresh_token']}"
    refused = await limited.client.post(REFRESH, headers=headers)
    problem = check_problem(refused, 403, "challenge_required")
    answer = {"x-challenge-response": solve(problem["challenge"])}
    second = await limited.client.post(REFRESH, headers=headers | answer)
    assert second.status_code == 200, second.text
    headers["authorization"] = f"Bearer {second.json()['refresh_token']}"
    again = await limited.client.post(REFRESH, headers=headers | answer)
    check_problem(again, 403, "challenge_failed")


async def test_without_redis_less_is_allowed_and_something_still_is(cluster):
    configured = {"LIMITS__MODE": "enforce", "LIMITS__RULES__REGISTRATIONS__LIMIT": "40"}
    async with serving(cluster, **configured) as service:
        bodies = [{"email": new_email(), "password": PASSWORD} for _ in range(20)]
        statuses = [(await service.client.post(REGISTER, json=body)).status_code for body in bodies]
    assert sorted(statuses) == [201] * 10 + [429] * 10
