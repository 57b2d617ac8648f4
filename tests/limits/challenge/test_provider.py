"""A provider of challenges: what it says of a token, whom it says it to, and what its failures mean."""

import asyncio
import logging
from collections import Counter
from datetime import timedelta

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from keystead.kernel.errors import CannotStart
from keystead.limits.challenge.challenges import KEEP_TOKENS
from keystead.limits.challenge.site_verify import SiteVerify
from keystead.limits.challenge.types import (
    MAX_ANSWER_LENGTH,
    ChallengeFailed,
    ChallengeUnavailable,
    OnFailure,
    ProviderKind,
)
from keystead.outgoing.breaker import IN_A_ROW, REST
from keystead.outgoing.destination import Destinations
from tests.support.challenges import (
    ADDRESS,
    HOST,
    NETWORK,
    SECRET,
    ProviderStandIn,
    challenges_of,
    site_verify_of,
    solve,
)
from tests.support.receiver import Receiver
from tests.support.tables import contents

pytestmark = pytest.mark.anyio

NO_VERDICTS = {
    "an error": (500, "application/json", b'{"success": true}'),
    "too many calls": (429, "application/json", b'{"success": false}'),
    "a redirect": (302, "application/json", b'{"success": true}'),
    "another redirect": (307, "application/json", b'{"success": true}'),
    "a page": (200, "text/html", b'{"success": true}'),
    "no JSON": (200, "application/json", b'{"success": true'),
    "nothing": (200, "application/json", b""),
    "a list": (200, "application/json", b'[{"success": true}]'),
    "no success": (200, "application/json", b"{}"),
    "a success that is text": (200, "application/json", b'{"success": "true"}'),
    "a success that is a number": (200, "application/json", b'{"success": 1}'),
    "two successes": (200, "application/json", b'{"success": false, "success": true}'),
    "a megabyte": (200, "application/json", b'{"success": true, "x": "' + b"x" * (1 << 20) + b'"}'),
    "our key": (200, "application/json", b'{"success":false,"error-codes":["invalid-input-secret"]}'),
    "its own fault": (200, "application/json", b'{"success":false,"error-codes":["internal-error"]}'),
}
REFUSED = {
    "a wrong token": {"success": False, "error-codes": ["invalid-input-response"]},
    "a used token": {"success": False, "error-codes": ["timeout-or-duplicate"]},
    "a site of somebody else's": {"success": False, "error-codes": ["sitekey-secret-mismatch"]},
    "no reason": {"success": False},
    "reasons that are none": {"success": False, "error-codes": "internal-error"},
    "odd reasons": {"success": False, "error-codes": [None, {}, 1]},
    "another page": {"success": True, "hostname": "evil.example", "action": "login"},
    "a page below": {"success": True, "hostname": f"evil.{HOST}", "action": "login"},
    "a page without a name": {"success": True, "action": "login"},
    "several pages": {"success": True, "hostname": [HOST], "action": "login"},
    "another action": {"success": True, "hostname": HOST, "action": "register"},
    "no action": {"success": True, "hostname": HOST},
}


@pytest.fixture(scope="module")
def provider():
    made = ProviderStandIn()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def quiet(provider):
    provider.calls.clear()
    provider.headers.clear()
    provider.delay = 0.0
    provider.well()


@pytest.fixture
async def asking(db, vault):
    """Challenges with a provider at a URL; the lines are closed at the end."""
    lines: list[SiteVerify] = []

    def make(url, **more):
        lines.append(site_verify_of(url, **more))
        return challenges_of(db, vault, site_verify=lines[-1])

    yield make
    for line in lines:
        await line.close()


async def check(challenges, answer, purpose="login"):
    await challenges.check(answer, purpose=purpose, network=NETWORK, address=ADDRESS)


async def outcome(challenges, answer, purpose="login"):
    """`passed`, `unavailable`, or the kind of the challenge that a refusal brings."""
    try:
        await check(challenges, answer, purpose)
    except ChallengeFailed as refusal:
        return refusal.challenge["kind"]
    except ChallengeUnavailable:
        return "unavailable"
    return "passed"


def kind_of_demand(challenges):
    return challenges.demand("login", NETWORK, 8).challenge["kind"]


async def test_a_client_is_told_whose_widget_to_show_and_a_good_token_passes(asking, provider):
    challenges = asking(provider.url)
    demanded = challenges.demand("login", NETWORK, 16)
    assert demanded.detail == {"challenge": {"kind": "turnstile", "site_key": "1x0000AA", "action": "login"}}
    assert await outcome(challenges, "a token") == "turnstile"
    assert await outcome(challenges, "0.token&secret=x%00+") == "passed"
    (call,), (headers,) = provider.calls, provider.headers
    assert call == {"secret": SECRET, "response": "0.token&secret=x%00+", "remoteip": ADDRESS}
    assert headers["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize("name", REFUSED)
async def test_a_token_that_is_not_good_for_this_is_refused(asking, provider, name):
    for status in (200, 400):
        provider.says(REFUSED[name], status=status)
        challenges = asking(provider.url)
        for number in range(IN_A_ROW + 1):  # and is no failure of the provider's, however often it is tried
            assert await outcome(challenges, f"token-{number}") == "turnstile"
        assert kind_of_demand(challenges) == "turnstile"
    assert len(provider.calls) == 2 * (IN_A_ROW + 1)


@pytest.mark.parametrize("name", NO_VERDICTS)
async def test_what_is_no_verdict_lets_nobody_pass(asking, provider, name, db):
    provider.answer = lambda _call: NO_VERDICTS[name]
    assert await outcome(asking(provider.url), "token") == "proof_of_work"
    assert await outcome(asking(provider.url, on_failure=OnFailure.REFUSE), "token") == "unavailable"
    assert await db.fetch("SELECT 1 FROM used_challenges") == []


async def test_a_provider_that_is_down_or_slow_or_forbidden_lets_nobody_pass(asking, provider):
    gone = ProviderStandIn()
    gone.close()
    provider.delay = 1.0
    for url, more in (
        (gone.url, {}),
        (provider.url, {"seconds": 0.3}),
        (provider.url, {"destinations": Destinations()}),
    ):
        assert await outcome(asking(url, **more), "token") == "proof_of_work"
        assert await outcome(asking(url, on_failure=OnFailure.REFUSE, **more), "token") == "unavailable"
    assert len(provider.calls) == 2  # what is forbidden was not called


async def test_cve_class_15_a_redirect_leads_nowhere_and_takes_the_secret_nowhere(asking, provider):
    elsewhere = Receiver()
    for status in (301, 302, 303, 307, 308):
        provider.answer = lambda _call, status=status: (status, "application/json", b'{"success": true}')
        provider.location = elsewhere.url
        assert await outcome(asking(provider.url), "token") == "proof_of_work"
    assert elsewhere.calls == []
    elsewhere.close()


async def test_what_cannot_be_a_token_is_refused_without_a_call(asking, provider, urls):
    challenges, before = asking(provider.url), await contents(urls)
    for answer in ("", " ", "a b", "a\n", "a\x00", "\u00e9", "\ud800", "x" * (MAX_ANSWER_LENGTH + 1)):
        assert await outcome(challenges, answer) == "turnstile"
    assert provider.calls == []
    assert await contents(urls) == before
    assert await outcome(challenges, "x" * MAX_ANSWER_LENGTH) == "passed"


async def test_a_token_passes_once_also_if_its_provider_never_tires_of_it(asking, provider, clock):
    challenges = asking(provider.url)
    results = await asyncio.gather(*(outcome(challenges, "token") for _ in range(50)))
    assert Counter(results) == {"passed": 1, "turnstile": 49}
    await clock.advance(KEEP_TOKENS - timedelta(seconds=30))
    assert await outcome(challenges, "token") == "turnstile"


# What each provider tells

V3 = {"kind": ProviderKind.RECAPTCHA}


@pytest.mark.parametrize(
    ("more", "verdict", "expected"),
    [
        (V3, {"score": 0.5}, "passed"),
        (V3, {"score": 1}, "passed"),
        (V3, {"score": 0.49}, "recaptcha"),
        (V3, {"score": 0.9, "action": "register"}, "recaptcha"),
        (V3, {"score": 0.9, "action": None}, "recaptcha"),
        (V3 | {"checks_action": False}, {"score": 0.9, "action": "register"}, "passed"),
        (V3 | {"checks_action": False}, {"score": 0.1, "action": "register"}, "recaptcha"),
        (V3 | {"min_score": 0.95}, {"score": 0.9}, "recaptcha"),
        (V3, {"action": None}, "passed"),  # its second version
        ({"kind": ProviderKind.HCAPTCHA}, {"score": 0.0, "action": None}, "passed"),
        ({"kind": ProviderKind.HCAPTCHA}, {"hostname": "evil.example"}, "hcaptcha"),
        ({"checks_action": False}, {"action": "register"}, "passed"),
        ({"hostnames": frozenset({"www.example.com"})}, {}, "turnstile"),
    ],
)
async def test_scores_and_actions_count_where_the_provider_has_them(
    asking, provider, more, verdict, expected
):
    provider.well(**verdict)
    assert await outcome(asking(provider.url, **more), "token") == expected


# Failures in a row


async def test_while_a_provider_is_ill_work_is_demanded_at_once_and_then_it_is_tried_again(
    asking, provider, monkeypatch
):
    challenges = asking(provider.url)
    breaker, now = challenges._site_verify._line.breaker, [0.0]
    monkeypatch.setattr(breaker, "_now", lambda: now[0])
    provider.says({}, status=500)
    for number in range(IN_A_ROW):
        assert kind_of_demand(challenges) == "turnstile"
        assert await outcome(challenges, f"token-{number}") == "proof_of_work"
    assert kind_of_demand(challenges) == "proof_of_work"
    assert await outcome(challenges, "another") == "proof_of_work"
    assert len(provider.calls) == IN_A_ROW
    assert value("challenge_provider_left_alone") == 1

    now[0] += REST.total_seconds() + 0.1
    provider.well()
    assert kind_of_demand(challenges) == "turnstile"
    assert await outcome(challenges, "next") == "passed"
    assert kind_of_demand(challenges) == "turnstile"
    assert value("challenge_provider_left_alone") == 0


async def test_work_that_was_demanded_while_it_was_ill_counts_when_it_is_well(asking, provider):
    challenges = asking(provider.url)
    provider.says({}, status=500)
    with pytest.raises(ChallengeFailed) as refused:
        await check(challenges, "token")
    answer = solve(refused.value.challenge | {"difficulty": 16})
    provider.well()
    assert await outcome(challenges, answer) == "passed"
    assert await outcome(challenges, answer) == "turnstile"


async def test_who_is_to_wait_for_the_provider_gets_around_it_with_no_work(asking, provider, db, vault):
    work = solve(challenges_of(db, vault).demand("login", NETWORK, 8).challenge)
    provider.says({"success": False})
    challenges = asking(provider.url, on_failure=OnFailure.REFUSE)
    assert await outcome(challenges, work) == "turnstile"
    provider.says({}, status=500)
    for number in range(IN_A_ROW + 2):
        assert await outcome(challenges, f"token-{number}") == "unavailable"
    assert kind_of_demand(challenges) == "turnstile"
    assert await outcome(challenges, work) == "unavailable"


async def test_neither_the_secret_nor_a_token_is_told_to_the_log(asking, provider, caplog):
    shown = repr(site_verify_of(provider.url).provider)
    with caplog.at_level(logging.DEBUG), capture_logs() as logs:
        for answer in (*NO_VERDICTS.values(), (200, "application/json", b'{"success":true}')):
            provider.answer = lambda _call, answer=answer: answer
            await outcome(asking(provider.url), "the-token-itself")
    shown += f"{logs} {caplog.text}"
    assert "challenge.failed" in shown
    assert "challenge.unexpected" in shown
    assert SECRET not in shown
    assert "the-token-itself" not in shown


async def test_figures_tell_how_it_went(asking, provider):
    challenges = asking(provider.url)
    names = ("demanded", "passed", "failed", "unavailable")
    before = [value("challenges_total", outcome=name) for name in names]
    challenges.demand("login", NETWORK, 8)
    await outcome(challenges, "token")
    await outcome(challenges, "token")
    provider.says({}, status=500)
    await outcome(challenges, "another")
    after = [value("challenges_total", outcome=name) for name in names]
    assert [new - old for new, old in zip(after, before, strict=True)] == [1, 1, 1, 1]


def value(name, **labels):
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_certificates_that_cannot_be_read_are_said_at_the_start(tmp_path):
    provider = site_verify_of("https://challenges.example.com/").provider
    with pytest.raises(CannotStart, match=r"challenge\.ca_file"):
        SiteVerify(provider, Destinations(), ca_file=tmp_path / "none.pem")
