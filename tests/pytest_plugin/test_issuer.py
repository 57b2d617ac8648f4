"""The local issuer: its tokens are as Keystead's, its forgeries are refused, and it fails as it is told to."""

import json
import urllib.request
from urllib.error import URLError

import pytest

from keystead.jwt.issuer import _MachinePayload, _Payload
from keystead_verify import InvalidToken, Reason, Verifier
from pytest_keystead.forgery import FORGERIES
from pytest_keystead.issuer import DISCOVERY_PATH, LocalIssuer
from pytest_keystead.signing import payload_of

AUDIENCE = "https://shop.example"
REASONS = {
    "signature": Reason.SIGNATURE,
    "unknown_key": Reason.UNKNOWN_KEY,
    "unsigned": Reason.ALGORITHM,
    "confused": Reason.ALGORITHM,
    "changed": Reason.SIGNATURE,
    "type": Reason.TYPE,
    "issuer": Reason.ISSUER,
    "audience": Reason.AUDIENCE,
    "expired": Reason.EXPIRED,
    "early": Reason.EARLY,
}


@pytest.fixture(scope="module", params=["RS256", "ES256"])
def issuer(request):
    with LocalIssuer(AUDIENCE, algorithm=request.param) as made:
        yield made


@pytest.fixture
def verifier(issuer):
    return Verifier(issuer.url, AUDIENCE, clock=issuer.clock)


def test_its_tokens_say_what_keystead_s_say(issuer, verifier):
    person = payload_of(issuer.token())
    assert person.keys() == set(_Payload.__struct_fields__) - {"act"}
    assert payload_of(issuer.machine_token()).keys() == set(_MachinePayload.__struct_fields__)
    claims = verifier.verify(issuer.token(sub=person["sub"], roles=["admin"], scope="a b", tier="gold"))
    assert (claims.subject, claims.roles, claims.scopes) == (person["sub"], ("admin",), {"a", "b"})
    assert claims.extra == {"tier": "gold"}
    machine = verifier.verify(issuer.machine_token(roles=["user"]))
    assert (machine.client_id, machine.session_id) == (machine.subject, None)


def test_who_proved_nothing_has_no_time_of_a_proof(issuer, verifier):
    assert verifier.verify(issuer.token()).auth_time is not None
    nobody = verifier.verify(issuer.token(auth_time=None))
    assert (nobody.auth_time, nobody.amr) == (None, ())


@pytest.mark.parametrize("how", FORGERIES)
def test_a_forged_token_is_refused_for_just_what_is_wrong_with_it(issuer, verifier, how):
    verifier.verify(issuer.token(roles=["user"]))
    with pytest.raises(InvalidToken) as refused:
        verifier.verify(issuer.forged(how, roles=["user"]))
    assert refused.value.reason is REASONS[how]


def test_every_forgery_works_on_a_moved_clock(issuer, verifier):
    issuer.clock.advance(86_400)
    try:
        verifier.verify(issuer.token())
        for how in FORGERIES:
            with pytest.raises(InvalidToken):
                verifier.verify(issuer.forged(how))
    finally:
        issuer.clock.reset()


def test_keys_rotate_and_the_last_one_counts_for_as_long_as_it_is_kept(issuer):
    old = issuer.token()
    issuer.rotate()
    for token in (old, issuer.token()):
        Verifier(issuer.url, AUDIENCE).verify(token)
    issuer.rotate(keep=0)
    with pytest.raises(InvalidToken):
        Verifier(issuer.url, AUDIENCE).verify(old)


def test_it_goes_down_and_comes_back_where_it_was(issuer):
    url = issuer.url
    issuer.go_down()
    issuer.go_down()
    with pytest.raises(URLError):
        urllib.request.urlopen(url + DISCOVERY_PATH)
    issuer.come_back()
    with urllib.request.urlopen(url + DISCOVERY_PATH) as answer:
        found = json.load(answer)
    assert found["issuer"] == url == issuer.url
    with urllib.request.urlopen(found["jwks_uri"]) as answer:
        assert json.load(answer)["keys"]


def test_what_makes_no_token_is_named(issuer):
    with pytest.raises(ValueError, match="UUID"):
        issuer.token(sub="ada")
    with pytest.raises(ValueError, match="'nonsense' is none of signature"):
        issuer.forged("nonsense")
