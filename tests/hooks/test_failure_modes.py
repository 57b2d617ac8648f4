"""Each hook down or saying no, in each mode, at each act: who is kept out, who is not, and that nothing is lost."""

from dataclasses import dataclass
from datetime import timedelta

import httpx2
import jwt as pyjwt
import pytest

from keystead.hooks.types import HookPoint, OnFailure
from tests.support.people import PASSWORD, Person, new_email, refresh, register
from tests.support.receiver import KEY, hook_settings

pytestmark = pytest.mark.anyio

AUTH = "/api/v1/auth"
ASKED = {
    HookPoint.BEFORE_REGISTRATION: {"register"},
    HookPoint.BEFORE_TOKEN: {"register", "login", "refresh", "reauthenticate"},
    HookPoint.AFTER_LOGIN: {"login"},
}
OPEN = "SELECT count(*) AS open FROM sessions WHERE ended_at IS NULL"
ENDED = "SELECT ended_because FROM sessions WHERE ended_at IS NOT NULL AND ended_because <> 'reauthenticated'"
TOLD = "SELECT detail->>'because' AS because FROM audit_events WHERE event = 'session.ended'"


@dataclass(frozen=True)
class Acts:
    """Everything that asks a hook, by one person."""

    client: httpx2.AsyncClient
    person: Person

    async def register(self):
        body = {"email": new_email(), "password": PASSWORD}
        return await self.client.post(f"{AUTH}/register", json=body)

    async def login(self):
        body = {"email": self.person.email, "password": PASSWORD}
        return await self.client.post(f"{AUTH}/login", json=body)

    async def refresh(self):
        return await refresh(self.client, self.person.refresh_token)

    async def reauthenticate(self):
        return await self.client.post(
            f"{AUTH}/reauthenticate", json={"password": PASSWORD}, headers=self.person.bearer
        )

    async def all(self):
        return {
            "register": await self.register(),
            "login": await self.login(),
            "refresh": await self.refresh(),
            "reauthenticate": await self.reauthenticate(),
        }


def answering(receiver, point, answer):
    """`point` answers so, the others let everything be."""
    receiver.answer = lambda call: answer if call["type"] == point.value else (204, "", b"")


@pytest.fixture
def mode():
    return OnFailure.REFUSE


@pytest.fixture
def configured(receiver, mode):
    return hook_settings(receiver.url, *HookPoint, ON_FAILURE=mode.value, TIMEOUT_MS="5000")


@pytest.mark.parametrize("mode", OnFailure, ids=str)
@pytest.mark.parametrize("point", HookPoint, ids=str)
async def test_a_hook_that_is_down_keeps_out_whom_it_decides_about_if_it_is_closed(
    client, receiver, mode, point
):
    acts = Acts(client, await register(client))
    answering(receiver, point, (500, "text/plain", b"down"))
    answers = await acts.all()
    kept_out = ASKED[point] if mode is OnFailure.REFUSE else set()
    for act, answer in answers.items():
        if act in kept_out:
            assert (answer.status_code, answer.json()["code"]) == (503, "hook_unavailable"), act
            assert int(answer.headers["retry-after"]) > 0
        else:
            assert answer.is_success, (act, answer.text)
    receiver.says({})
    for again in (await acts.register(), await acts.login(), await acts.reauthenticate()):
        assert again.is_success, again.text


@pytest.mark.parametrize("mode", [OnFailure.ALLOW], ids=str)  # which is about failures
@pytest.mark.parametrize("point", HookPoint, ids=str)
async def test_a_hook_that_says_no_is_heard(client, receiver, point):
    acts = Acts(client, await register(client))
    answering(receiver, point, (200, "application/json", b'{"action": "refuse", "reason": "closed"}'))
    for act, answer in (await acts.all()).items():
        if act in ASKED[point]:
            assert (answer.status_code, answer.json()["code"]) == (403, "hook_refused"), act
            assert answer.json()["reason"] == "closed"
        else:
            assert answer.is_success, (act, answer.text)


@pytest.mark.parametrize("point", [HookPoint.BEFORE_TOKEN, HookPoint.AFTER_LOGIN], ids=str)
async def test_a_login_that_gets_no_token_leaves_no_session_behind(client, receiver, db, point):
    acts = Acts(client, await register(client))
    answering(receiver, point, (200, "application/json", b'{"action": "refuse"}'))
    for _ in range(3):
        assert (await acts.login()).status_code == 403
    assert (await db.fetch_row(OPEN))["open"] == 1
    assert [row["ended_because"] for row in await db.fetch(ENDED)] == ["hook_refused"] * 3
    assert [row["because"] for row in await db.fetch(TOLD)] == ["hook_refused"] * 3


async def test_a_registration_that_gets_no_token_leaves_an_account_and_no_session(client, receiver, db):
    answering(receiver, HookPoint.BEFORE_TOKEN, (200, "application/json", b'{"action": "refuse"}'))
    body = {"email": new_email(), "password": PASSWORD}
    assert (await client.post(f"{AUTH}/register", json=body)).status_code == 403
    assert (await db.fetch_row(OPEN))["open"] == 0
    receiver.says({})
    assert (await client.post(f"{AUTH}/login", json=body)).status_code == 200


async def test_a_repeated_reauthentication_finds_what_the_refused_one_left(client, receiver, db):
    acts = Acts(client, await register(client))
    answering(receiver, HookPoint.BEFORE_TOKEN, (200, "application/json", b'{"action": "refuse"}'))
    assert (await acts.reauthenticate()).status_code == 403
    receiver.says({})
    answer = await acts.reauthenticate()
    assert answer.status_code == 200
    assert (await db.fetch_row(OPEN))["open"] == 1
    assert (await refresh(client, answer.json()["refresh_token"])).status_code == 200


@pytest.mark.parametrize(
    "answer", [(500, "text/plain", b"down"), (200, "application/json", b'{"action": "refuse"}')]
)
async def test_an_outage_longer_than_any_window_signs_nobody_out(client, receiver, db, clock, answer):
    person = await register(client)
    answering(receiver, HookPoint.BEFORE_TOKEN, answer)
    for _ in range(3):
        assert (await refresh(client, person.refresh_token)).is_error
        await clock.advance(timedelta(minutes=10))
    receiver.says({"claims": {"plan": "pro"}})
    again = await refresh(client, person.refresh_token)
    assert again.status_code == 200
    assert pyjwt.decode(again.json()["access_token"], options={"verify_signature": False})["plan"] == "pro"
    assert (await db.fetch_row(OPEN))["open"] == 1


async def test_what_a_hook_adds_is_what_the_application_lets_it_and_that_exists(client, receiver):
    receiver.says({"claims": {"plan": None, "quota": 10**30, "sub": "x", "exp": 9**9, "other": 1}})
    person = await register(client)
    claims = pyjwt.decode(person.access_token, options={"verify_signature": False})
    assert (claims["quota"], claims["sub"]) == (10**30, person.id)
    assert not {"plan", "other"} & claims.keys()


async def test_claims_that_no_token_can_hold_are_refused_by_name(client, receiver):
    receiver.says({"claims": {"quota": "x" * 8000}})
    answer = await client.post(f"{AUTH}/register", json={"email": new_email(), "password": PASSWORD})
    assert (answer.status_code, answer.json()["code"], answer.json()["claim"]) == (
        409,
        "token_too_large",
        "quota",
    )


async def test_nothing_that_is_told_holds_a_secret(client, receiver):
    acts = Acts(client, await register(client))
    answers = await acts.all()
    sent = str(receiver.bodies) + str(receiver.headers)
    for answer in answers.values():
        body = answer.json()
        assert body["access_token"] not in sent
        assert body["refresh_token"] not in sent
    assert PASSWORD not in sent
    assert KEY not in sent
