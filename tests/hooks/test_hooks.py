"""Hooks against a real service: what they are told, what they may say, and what their failures mean."""

import base64
import hashlib
import hmac
import json
import logging
from contextlib import nullcontext
from datetime import UTC, datetime

import jwt as pyjwt
import pytest
from structlog.testing import capture_logs

from keystead.hooks.types import HookPoint, HookRefused, HookUnavailable, OnFailure
from keystead.kernel.config import ConfigError
from keystead.kernel.errors import CannotStart
from keystead.outgoing.breaker import IN_A_ROW
from keystead.outgoing.destination import Destinations
from keystead.settings import configured_hooks, load, masked
from tests.support.people import PASSWORD, make_user, new_email, refresh, register
from tests.support.receiver import KEY, LOOPBACK, Receiver, hook, hook_settings, hooks_of

pytestmark = pytest.mark.anyio

LOGIN = "/api/v1/auth/login"

FAILURE_ANSWERS = {
    "an error": (500, "application/json", b"{}"),
    "not found": (404, "application/json", b"{}"),
    "a redirect": (302, "application/json", b""),
    "a page": (200, "text/html", b"<html></html>"),
    "JSON under another name": (200, "text/plain", b"{}"),
    "no JSON": (200, "application/json", b"{"),
    "a member twice": (200, "application/json", b'{"action":"allow","action":"refuse"}'),
    "a list": (200, "application/json", b"[]"),
    "another action": (200, "application/json", b'{"action":"maybe"}'),
    "claims that are none": (200, "application/json", b'{"claims":[1]}'),
    "deep": (200, "application/json", b'{"claims":' + b'{"a":' * 20 + b"1" + b"}" * 21),
    "huge": (200, "application/json", b'{"a":"' + b"x" * 10_000_000 + b'"}'),
}


@pytest.mark.parametrize("mode", OnFailure)
@pytest.mark.parametrize("name", FAILURE_ANSWERS)
async def test_an_answer_that_is_none_means_what_the_mode_says(receiver, name, mode):
    receiver.answer = lambda _call: FAILURE_ANSWERS[name]
    hooks = hooks_of(hook(receiver.url, on_failure=mode, seconds=2))
    if mode is OnFailure.REFUSE:
        with pytest.raises(HookUnavailable):
            await hooks(HookPoint.BEFORE_TOKEN, {})
    else:
        assert (await hooks(HookPoint.BEFORE_TOKEN, {})).claims == {}
    await hooks.close()


@pytest.mark.parametrize("mode", OnFailure)
async def test_a_service_that_is_down_or_slow_or_forbidden_means_the_same(receiver, mode):
    gone = Receiver()
    gone.close()
    receiver.delay = 1.0
    for url, destinations in ((gone.url, LOOPBACK), (receiver.url, LOOPBACK), (receiver.url, Destinations())):
        hooks = hooks_of(hook(url, on_failure=mode, seconds=0.5), destinations=destinations)
        if mode is OnFailure.REFUSE:
            with pytest.raises(HookUnavailable):
                await hooks(HookPoint.BEFORE_TOKEN, {})
        else:
            assert (await hooks(HookPoint.BEFORE_TOKEN, {})).claims == {}
        await hooks.close()
    assert len(receiver.calls) == 1  # what is forbidden was not called


async def test_after_failures_in_a_row_it_is_left_alone_and_then_tried_once(receiver):
    receiver.says({}, status=500)
    hooks = hooks_of(hook(receiver.url, on_failure=OnFailure.ALLOW))
    for _ in range(IN_A_ROW + 10):
        await hooks(HookPoint.BEFORE_TOKEN, {})
    assert len(receiver.calls) == IN_A_ROW
    await hooks.close()


async def test_each_call_is_signed_as_standard_webhooks_has_it(receiver):
    other = base64.b64encode(b"the secret of before, thirty two b").decode()
    hooks = hooks_of(hook(receiver.url, secrets=(KEY, other)))
    await hooks(HookPoint.BEFORE_TOKEN, {"user": {"id": "x"}})
    await hooks.close()
    (headers,), (body,) = receiver.headers, receiver.bodies
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = [
        "v1," + base64.b64encode(hmac.new(base64.b64decode(key), signed, hashlib.sha256).digest()).decode()
        for key in (KEY, other)
    ]
    assert headers["webhook-signature"].split() == expected
    assert abs(int(headers["webhook-timestamp"]) - datetime.now(UTC).timestamp()) < 10
    assert json.loads(body)["id"] == headers["webhook-id"]


async def test_a_certificate_counts_for_its_name_and_from_who_is_trusted(authority):
    for name, ca_file, is_called in (
        ("127.0.0.1", authority.ca_file, True),
        ("other.example", authority.ca_file, False),
        ("127.0.0.1", None, False),
    ):
        receiver = Receiver(authority.serving(name))
        hooks = hooks_of(hook(receiver.url), ca_file=ca_file)
        with capture_logs() as logs, nullcontext() if is_called else pytest.raises(HookUnavailable):
            await hooks(HookPoint.BEFORE_TOKEN, {})
        assert is_called or "CERTIFICATE_VERIFY_FAILED" in logs[0]["reason"]
        assert len(receiver.calls) == int(is_called)
        receiver.close()
        await hooks.close()


def test_certificates_that_cannot_be_read_are_said_at_the_start(tmp_path):
    with pytest.raises(CannotStart, match=r"hooks\.ca_file"):
        hooks_of(hook("https://hooks.example.com/"), ca_file=tmp_path / "none.pem")


async def test_its_words_are_told_on_if_they_are_harmless(receiver):
    hooks = hooks_of(hook(receiver.url))
    for words, told in (
        (
            {"reason": "not_invited", "message": "Ask Jane."},
            {"reason": "not_invited", "explanation": "Ask Jane."},
        ),
        ({"reason": "Not Invited!", "message": "a\nb"}, {}),
        ({"reason": 1, "message": "x" * 300}, {}),
    ):
        receiver.says({"action": "refuse", **words})
        with pytest.raises(HookRefused) as refusal:
            await hooks(HookPoint.BEFORE_TOKEN, {})
        assert refusal.value.detail == told
    await hooks.close()


class TestWired:
    """Through the whole service."""

    @pytest.fixture
    def configured(self, receiver):
        return hook_settings(receiver.url, *HookPoint, ON_FAILURE="refuse", TIMEOUT_MS="5000")

    def told(self, receiver, point):
        return [call for call in receiver.calls if call["type"] == point]

    async def test_who_registers_is_told_and_may_be_refused(self, client, receiver, db):
        email = new_email()
        receiver.answer = lambda call: (
            (200, "application/json", b'{"action": "refuse", "reason": "not_invited"}')
            if call["type"] == "before_registration"
            else (204, "", b"")
        )
        body = {"email": email, "password": PASSWORD, "full_name": "John Doe"}
        answer = await client.post("/api/v1/auth/register", json=body)
        assert (answer.status_code, answer.json()["code"]) == (403, "hook_refused")
        assert answer.json()["reason"] == "not_invited"
        (call,) = self.told(receiver, "before_registration")
        assert call["user"] == {"email": email, "full_name": "John Doe"}
        assert await db.fetch("SELECT 1 FROM users") == []
        assert PASSWORD not in str(receiver.bodies)

    async def test_no_spelling_of_an_address_slips_past_a_list(self, client, receiver):
        receiver.says({"action": "refuse"})
        for spelled, told in (
            ("Jane@EXAMPLE.com", "jane@example.com"),
            ("jane@B\u00dcCHER.example", "jane@xn--bcher-kva.example"),
        ):
            await client.post("/api/v1/auth/register", json={"email": spelled, "password": PASSWORD})
            assert receiver.calls[-1]["user"]["email"] == told

    async def test_claims_are_added_as_far_as_the_application_lets_it(self, client, receiver):
        receiver.says({"claims": {"plan": "pro", "roles": ["admin"], "sub": "x", "other": 1}})
        person = await register(client)
        again = (await refresh(client, person.refresh_token)).json()
        for token in (person.access_token, again["access_token"]):
            claims = pyjwt.decode(token, options={"verify_signature": False})
            assert (claims["plan"], claims["sub"], claims["roles"]) == ("pro", person.id, ["user"])
            assert "other" not in claims
        call = self.told(receiver, "before_token")[-1]
        assert set(call) == {"type", "id", "at", "application", "user", "session"}
        assert person.email not in str(receiver.bodies[-1])

    async def test_a_refused_refresh_costs_no_session(self, client, receiver):
        person = await register(client)
        for answer, status, code in (
            ({"action": "refuse"}, 403, "hook_refused"),
            ([], 503, "hook_unavailable"),
        ):
            receiver.says(answer)
            refused = await refresh(client, person.refresh_token)
            assert (refused.status_code, refused.json()["code"]) == (status, code)
        receiver.says({})
        again = await refresh(client, person.refresh_token)
        assert again.status_code == 200
        assert (await refresh(client, again.json()["refresh_token"])).status_code == 200

    async def test_a_login_that_is_refused_leaves_no_session(self, client, receiver, db):
        person = await register(client)
        receiver.answer = lambda call: (
            (200, "application/json", b'{"action": "refuse"}')
            if call["type"] == "after_login"
            else (204, "", b"")
        )
        body = {"email": person.email, "password": PASSWORD}
        answer = await client.post(LOGIN, json=body, headers={"user-agent": "Browser/1"})
        assert (answer.status_code, answer.json()["code"]) == (403, "hook_refused")
        (call,) = self.told(receiver, "after_login")
        assert (call["user"], call["session"]["user_agent"]) == ({"id": person.id}, "Browser/1")
        live = await db.fetch("SELECT id::text FROM sessions WHERE ended_at IS NULL")
        assert [row["id"] for row in live] == [person.session_id]
        ends = await db.fetch("SELECT ended_because FROM sessions WHERE ended_at IS NOT NULL")
        assert [row["ended_because"] for row in ends] == ["hook_refused"]

    async def test_a_wrong_password_calls_nobody(self, client, receiver):
        person = await register(client)
        receiver.calls.clear()
        for email in (person.email, new_email()):
            answer = await client.post(LOGIN, json={"email": email, "password": "not the password"})
            assert answer.status_code == 401
        assert receiver.calls == []


class TestVerified:
    """Where addresses must be proven, a free and a taken one stay alike."""

    @pytest.fixture
    def configured(self, receiver):
        return {
            "AUTH__REQUIRE_VERIFIED_EMAIL": "true",
            **hook_settings(receiver.url, HookPoint.BEFORE_REGISTRATION, TIMEOUT_MS="5000"),
        }

    async def test_the_hook_is_asked_of_both(self, client, receiver, core):
        taken = new_email()
        await make_user(core, taken)
        for answer, status in (({}, 202), ({"action": "refuse"}, 403)):
            receiver.calls.clear()
            receiver.says(answer)
            answers = []
            for email in (taken, new_email()):
                body = {"email": email, "password": PASSWORD}
                headers = {"x-request-id": "the-same-for-both"}
                answers.append(await client.post("/api/v1/auth/register", json=body, headers=headers))
            assert {each.status_code for each in answers} == {status}
            assert answers[0].content == answers[1].content
            assert len(receiver.calls) == 2


def faults_of(tmp_path, **hooks):
    environ = {"APP_ENV": "development", **{f"APP_HOOKS__{name}": value for name, value in hooks.items()}}
    with pytest.raises(ConfigError) as refused:
        load(tmp_path, environ)
    return "\n".join(refused.value.problems)


@pytest.mark.parametrize(
    ("url", "secret", "words"),
    [
        ("http://hooks.example.com/", f"whsec_{KEY}", "not https"),
        ("https://user:pw@hooks.example.com/", f"whsec_{KEY}", "no address"),
        ("ftp://hooks.example.com/", f"whsec_{KEY}", "no address"),
        ("https://10.0.0.1/", f"whsec_{KEY}", "hooks.allow_private"),
        ("https://2130706433/", f"whsec_{KEY}", "no host"),
        ("https://hooks.example.com/", "short", "too short"),
        ("https://hooks.example.com/", "x" * 31, "too short"),
        ("https://hooks.example.com/", "whsec_c2hvcnQ=", "too short"),
        ("https://hooks.example.com/", "whsec_\u00e9", "too short"),
        ("https://hooks.example.com/", "whsec_!!!", "too short"),
        ("https://hooks.example.com/", None, "secret is not set"),
    ],
)
def test_a_hook_that_would_not_be_safe_is_refused_at_the_start(tmp_path, url, secret, words):
    more = {} if secret is None else {"BEFORE_TOKEN__SECRET": secret}
    said = faults_of(tmp_path, BEFORE_TOKEN__URL=url, **more)
    assert "hooks.before_token" in said
    assert words in said
    assert "user:pw" not in said


def test_a_secret_without_a_url_is_a_mistake_and_no_hook_that_is_left_out(tmp_path):
    said = faults_of(tmp_path, BEFORE_REGISTRATION__SECRET=f"whsec_{KEY}")
    assert "hooks.before_registration.url is not" in said
    assert KEY not in said


def test_a_secret_of_a_hook_is_shown_nowhere(tmp_path, caplog):
    environ = {
        "APP_HOOKS__BEFORE_TOKEN__URL": "https://hooks.example.com/",
        "APP_HOOKS__BEFORE_TOKEN__SECRET": f"whsec_{KEY}",
    }
    with caplog.at_level(logging.DEBUG):
        settings = load(tmp_path, environ).settings
    shown = str(masked(settings)) + repr(settings) + repr(configured_hooks(settings)) + caplog.text
    assert KEY not in shown
