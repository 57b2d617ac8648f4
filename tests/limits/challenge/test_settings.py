"""The settings of challenges: what would not be safe is said at the start; and how a challenge is told over HTTP."""

import logging

import msgspec
import pytest

from keystead.api.rest.problems import ChallengeProblem, headers_of, problem_of
from keystead.kernel.config import ConfigError
from keystead.limits.challenge.types import ChallengeRequired, OnFailure, ProviderKind
from keystead.settings import configured_provider, load, masked
from keystead.wiring import open_core
from tests.support.challenges import HOST, NETWORK, SECRET, challenges_of, site_verify_of

pytestmark = pytest.mark.anyio

PROVIDER = {
    "KIND": "turnstile",
    "SITE_KEY": "0x4AAA",
    "SECRET": SECRET,
    "HOSTNAMES": f"{HOST}, www.example.com",
}


def loaded(folder, **challenge):
    return load(folder, {f"APP_CHALLENGE__{name}": value for name, value in challenge.items()})


def test_without_any_setting_work_is_to_be_proven(tmp_path):
    assert configured_provider(loaded(tmp_path).settings) is None


@pytest.mark.parametrize("kind", ProviderKind)
def test_a_provider_is_asked_where_it_is_unless_a_url_is_set(tmp_path, kind):
    provider = configured_provider(loaded(tmp_path, **PROVIDER | {"KIND": kind.value}).settings)
    assert provider is not None
    assert (provider.kind, provider.site_key, provider.secret.reveal()) == (kind, "0x4AAA", SECRET)
    assert provider.hostnames == {HOST, "www.example.com"}
    assert provider.on_failure is OnFailure.PROOF_OF_WORK
    assert provider.url.startswith("https://")
    assert "siteverify" in provider.url
    more = {"URL": "https://verify.example.com/", "ON_FAILURE": "refuse"}
    provider = configured_provider(loaded(tmp_path, **PROVIDER | more).settings)
    assert provider is not None
    assert (provider.url, provider.on_failure) == ("https://verify.example.com/", OnFailure.REFUSE)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"SECRET": None}, "challenge.secret is not set"),
        ({"SITE_KEY": None}, "challenge.site_key is not set"),
        ({"HOSTNAMES": None}, "challenge.hostnames is not set"),
        ({"KIND": "proof_of_work"}, "challenge.secret is set and challenge.kind is proof_of_work"),
        ({"KIND": "mcaptcha"}, "challenge.kind"),
        ({"SITE_KEY": "a b"}, "challenge.site_key"),
        ({"HOSTNAMES": "https://app.example.com"}, "is no host"),
        ({"HOSTNAMES": "App.example.com"}, "lower case"),
        ({"URL": "http://verify.example.com/"}, "challenge.url is not https"),
        ({"URL": "https://10.0.0.1/"}, "challenge.allow_private"),
        ({"URL": "https://user:pw@verify.example.com/"}, "challenge.url is no address"),
        ({"ALLOW_PRIVATE": "10.0.0.0/33"}, "is no network"),
        ({"TIMEOUT_SECS": "11"}, "challenge.timeout_secs"),
        ({"MIN_SCORE": "1.1"}, "challenge.min_score"),
        ({"ON_FAILURE": "allow"}, "challenge.on_failure"),
    ],
    ids=str,
)
def test_what_would_not_be_safe_is_refused_at_the_start(tmp_path, changed, words):
    given = {name: value for name, value in (PROVIDER | changed).items() if value is not None}
    with pytest.raises(ConfigError) as refused:
        loaded(tmp_path, **given)
    said = "\n".join(refused.value.problems)
    assert words in said
    assert SECRET not in said


def test_the_secret_is_shown_nowhere(tmp_path, caplog):
    with caplog.at_level(logging.DEBUG):
        settings = loaded(tmp_path, **PROVIDER).settings
    assert SECRET not in f"{masked(settings)} {settings!r} {configured_provider(settings)!r} {caplog.text}"


class TestOpened:
    @pytest.fixture
    def configured(self):
        return {f"CHALLENGE__{name}": value for name, value in PROVIDER.items()}

    async def test_a_core_opens_with_a_provider(self, settings):
        async with open_core(settings):
            pass


async def test_a_client_reads_what_to_do_from_the_problem(db, vault):
    for site_verify in (None, site_verify_of("https://verify.example.com/")):
        refusal = challenges_of(db, vault, site_verify=site_verify).demand("login", NETWORK, 12)
        assert type(refusal) is ChallengeRequired
        sent = msgspec.json.encode(problem_of(refusal, "id"))
        problem = msgspec.json.decode(sent, type=ChallengeProblem)
        assert (problem.status, problem.code) == (403, "challenge_required")
        told = {name: value for name, value in msgspec.structs.asdict(problem.challenge).items() if value}
        assert told == refusal.challenge
        assert headers_of(refusal) == {}  # nothing to wait for
