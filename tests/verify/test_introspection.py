"""Tokens about which the issuer is asked: API keys, and all of them where a revocation must hold at once."""

import asyncio
import base64
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from keystead_verify import Introspection, InvalidToken, IssuerUnavailable, Reason, Verifier, introspection
from pytest_keystead.issuer import LocalIssuer
from tests.verify.asked import AskedIssuer

pytestmark = pytest.mark.anyio

AUDIENCE = "https://api.example"
SUBJECT = "0198a9c1-7d3e-7c11-9a52-0c1d2e3f4a5b"
KEY = "ks_ak_" + "x" * 49


@pytest.fixture
def issuer():
    with LocalIssuer(AUDIENCE, algorithm="ES256") as made:
        yield made


@pytest.fixture
def asked():
    made = AskedIssuer()
    yield made
    made.close()


@pytest.fixture
def verifier(issuer, asked):
    return make_verifier(issuer, asked)


def make_verifier(issuer, asked, *, timeout=2.0, **options):
    settings = Introspection("the client", "a:secret/ü", url=asked.url, **options)
    return Verifier(issuer.url, AUDIENCE, introspection=settings, clock=issuer.clock, timeout=timeout)


def active(issuer, **changes):
    """The answer about an API key that holds; `...` drops a member."""
    now = int(issuer.clock())
    whole = {
        "active": True, "iss": issuer.url, "aud": AUDIENCE, "sub": SUBJECT, "client_id": "default", "iat": now - 9,
        "exp": now + 300, "key_id": SUBJECT, "roles": ["user"], "scope": "things:read", "token_type": "Bearer",
        **changes,
    }  # fmt: skip
    return {name: value for name, value in whole.items() if value is not ...}


def reason(verifier, token):
    with pytest.raises(InvalidToken) as refusal:
        verifier.verify(token)
    return refusal.value.reason


def pass_time(monkeypatch, seconds):
    monkeypatch.setattr(introspection, "monotonic", lambda: time.monotonic() + seconds)


def test_an_api_key_is_what_the_issuer_says_of_it(issuer, asked, verifier):
    asked.answers[KEY] = active(issuer, plan={"name": "pro"})
    claims = verifier.verify(KEY)
    assert (claims.subject, claims.key_id, claims.scopes, claims.token_id) == (
        SUBJECT,
        SUBJECT,
        {"things:read"},
        None,
    )
    assert claims.extra == {"plan": {"name": "pro"}}
    scheme, _, pair = asked.authorizations[0].partition(" ")
    assert (scheme, base64.b64decode(pair)) == (
        "Basic",
        b"the%20client:a%3Asecret%2F%C3%BC",
    )  # RFC 6749 §2.3.1


def test_an_api_key_that_the_issuer_does_not_know_is_invalid(verifier):
    assert reason(verifier, KEY) is Reason.INACTIVE


def test_without_introspection_nobody_is_asked_and_no_api_key_holds(issuer, asked):
    assert reason(Verifier(issuer.url, AUDIENCE), KEY) is Reason.FORM
    assert asked.questions == []


def test_only_api_keys_are_asked_about_unless_all_should_be(issuer, asked, verifier):
    verifier.verify(issuer.token())
    assert asked.questions == []


def test_an_answer_is_used_for_a_moment_and_no_longer(issuer, asked, verifier, monkeypatch):
    asked.answers[KEY] = active(issuer)
    for _ in range(3):
        verifier.verify(KEY)
    assert len(asked.questions) == 1
    asked.answers.clear()
    pass_time(monkeypatch, 5.1)
    assert reason(verifier, KEY) is Reason.INACTIVE
    assert len(asked.questions) == 2


@pytest.mark.parametrize(
    ("cache_control", "cache", "seconds"),
    [("private, max-age=2", 5.0, 2), ("private, max-age=60", 5.0, 5), ("no-store", 5.0, 0), ("", 3.0, 3)],
)
def test_neither_the_issuers_time_nor_ours_is_exceeded(
    issuer, asked, monkeypatch, cache_control, cache, seconds
):
    asked.cache_control, asked.answers[KEY] = cache_control, active(issuer)
    verifier = make_verifier(issuer, asked, cache=cache)
    verifier.verify(KEY)
    pass_time(monkeypatch, seconds + 0.1)
    verifier.verify(KEY)
    assert len(asked.questions) == 2


def test_many_who_ask_about_one_token_are_one_question(issuer, asked, verifier):
    asked.delay, asked.answers[KEY] = 0.2, active(issuer)
    with ThreadPoolExecutor(20) as pool:
        assert len({claims.subject for claims in pool.map(lambda _: verifier.verify(KEY), range(20))}) == 1
    assert len(asked.questions) == 1


async def test_tasks_are_one_question_too_and_the_loop_goes_on(issuer, asked, verifier):
    asked.delay, asked.answers[KEY] = 0.2, active(issuer)
    questions = asyncio.gather(*(verifier.averify(KEY) for _ in range(50)))
    ticks = 0
    while not questions.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert ticks > 5
    assert len(asked.questions) == 1
    assert {claims.subject for claims in await questions} == {SUBJECT}


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "https://other.example"},
        {"aud": [AUDIENCE]},
        {"aud": ...},
        {"iss": "https://other.example"},
        {"iss": ...},
    ],
)
def test_an_answer_about_another_issuers_or_audiences_token_lets_nobody_in(issuer, asked, verifier, changes):
    asked.answers[KEY] = active(issuer, **changes)
    assert reason(verifier, KEY) is Reason.INACTIVE


def test_an_answer_about_an_expired_token_lets_nobody_in_whatever_it_says(issuer, asked, verifier):
    asked.answers[KEY] = active(issuer, exp=int(issuer.clock()) + 2)
    verifier.verify(KEY)
    issuer.clock.advance(3)
    assert reason(verifier, KEY) is Reason.EXPIRED


WRONG_ANSWERS: dict[str, Any] = {
    "not JSON": b"<html>",
    "a list": b"[]",
    "active as text": {"active": "true"},
    "active as number": {"active": 1},
    "a member twice": b'{"active": false, "active": true}',
    "deep": b'{"active": true, "a": ' + b"[" * 500 + b"]" * 500 + b"}",
    "huge": b'{"active": false, "a": "' + b"x" * 100_000 + b'"}',
    "roles as text": {"roles": "admin"},
    "roles absent": {"roles": ...},
    "scope as list": {"scope": ["a"]},
    "subject absent": {"sub": ...},
    "subject empty": {"sub": ""},
    "exp as text": {"exp": "9999999999"},
    "exp as truth": {"exp": True},
    "exp absent": {"exp": ...},
    "auth_time as text": {"auth_time": "now"},
    "amr as text": {"amr": "pwd"},
    "key_id as number": {"key_id": 1},
}


@pytest.mark.parametrize("name", WRONG_ANSWERS)
def test_an_answer_that_is_none_lets_nobody_in(issuer, asked, verifier, name):
    wrong = WRONG_ANSWERS[name]
    asked.answers[KEY] = wrong if isinstance(wrong, bytes) or "active" in wrong else active(issuer, **wrong)
    with pytest.raises(IssuerUnavailable):
        verifier.verify(KEY)


@pytest.mark.parametrize("status", [302, 401, 403, 429, 500])
def test_an_issuer_that_refuses_to_answer_lets_nobody_in(issuer, asked, verifier, status):
    asked.status, asked.answers[KEY] = status, active(issuer)
    with pytest.raises(IssuerUnavailable):
        verifier.verify(KEY)


def test_an_issuer_that_is_away_lets_nobody_in_and_is_not_hammered(issuer, asked, verifier):
    asked.status = 500
    for _ in range(10):
        with pytest.raises(IssuerUnavailable):
            verifier.verify(KEY)
    assert len(asked.questions) == 1


def test_nobody_waits_longer_than_the_deadline(issuer, asked):
    asked.delay, asked.answers[KEY] = 3, active(issuer)
    verifier = make_verifier(issuer, asked, timeout=0.1)
    started = time.monotonic()
    with pytest.raises(IssuerUnavailable):
        verifier.verify(KEY)
    assert time.monotonic() - started < 2  # far from three


@pytest.mark.parametrize("secret", ["ks_ak_" + "x" * 10_000, "ks_é", "ks_\ud800", "ks_"])
def test_what_cannot_be_an_api_key_costs_at_most_a_question(asked, verifier, secret):
    assert reason(verifier, secret) in (Reason.FORM, Reason.INACTIVE)
    assert len(asked.questions) <= 1


class TestAlways:
    @pytest.fixture
    def verifier(self, issuer, asked):
        return make_verifier(issuer, asked, always=True)

    def about(self, issuer, **changes):
        return active(issuer, key_id=..., sid=SUBJECT, **changes)

    def test_what_was_signed_holds_while_the_issuer_says_so(self, issuer, asked, verifier, monkeypatch):
        token = issuer.token(sub=SUBJECT)
        asked.answers[token] = self.about(issuer)
        verifier.verify(token)
        asked.answers.clear()
        pass_time(monkeypatch, 6)
        assert reason(verifier, token) is Reason.INACTIVE

    def test_roles_and_scope_are_those_of_this_moment_and_the_rest_is_what_was_signed(
        self, issuer, asked, verifier
    ):
        token = issuer.token(sub=SUBJECT, roles=["admin"], plan="pro", act={"sub": "the one who helps"})
        asked.answers[token] = self.about(issuer, roles=["user"], scope="")
        claims = verifier.verify(token)
        assert (claims.roles, claims.extra, claims.actor) == (("user",), {"plan": "pro"}, "the one who helps")

    def test_the_signature_is_checked_before_anybody_is_asked(self, issuer, asked, verifier):
        forged = issuer.forged(sub=SUBJECT)
        asked.answers[forged] = self.about(issuer)
        assert reason(verifier, forged) is Reason.SIGNATURE
        assert asked.questions == []

    def test_an_answer_about_somebody_else_lets_nobody_in(self, issuer, asked, verifier):
        token = issuer.token()
        asked.answers[token] = self.about(issuer)
        assert reason(verifier, token) is Reason.INACTIVE

    def test_when_it_cannot_be_asked_a_good_token_does_not_hold(self, issuer, asked, verifier):
        asked.status = 503
        with pytest.raises(IssuerUnavailable):
            verifier.verify(issuer.token())


def test_the_secret_is_not_shown():
    assert "hidden" not in repr(Introspection("client", "hidden"))


def test_the_secret_is_not_sent_in_the_clear():
    settings = Introspection("client", "secret", url="http://id.example/introspect")
    with pytest.raises(ValueError, match="https"):
        Verifier("https://id.example", AUDIENCE, introspection=settings)


def test_more_questions_at_once_than_are_allowed_are_told_to_come_again(issuer, asked, monkeypatch):
    monkeypatch.setattr(introspection, "MAX_AT_ONCE", 3)
    asked.delay = 0.3
    verifier = make_verifier(issuer, asked)

    def ask(number):
        try:
            verifier.verify(KEY + str(number))
        except InvalidToken:
            return "asked"
        except IssuerUnavailable:
            return "come again"

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    assert set(answers) == {"asked", "come again"}
    assert not verifier._introspector._flights


def test_the_answers_that_are_kept_are_bounded(issuer, asked, monkeypatch):
    monkeypatch.setattr(introspection, "MAX_ANSWERS", 5)
    verifier = make_verifier(issuer, asked)
    for number in range(12):
        assert reason(verifier, KEY + str(number)) is Reason.INACTIVE
    assert len(verifier._introspector._answers) == 5
