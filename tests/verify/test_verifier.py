"""One verifier: what it remembers, what it is given, and what happens when a part of it breaks."""

import copy
import dataclasses
import json
import pickle
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import monotonic
from types import ModuleType

import pytest

from keystead.jwt.jwks import jwk_set
from keystead.jwt.keys import generate_key
from keystead.jwt.types import Algorithm, KeySpec
from keystead_verify import Claims, InvalidToken, Reason, Verifier, claims, jws, keys, strict_json, verifier
from keystead_verify.http import Answer
from keystead_verify.key_set import KeySet
from tests.jwt.forging import (
    AUDIENCE,
    ISSUER,
    NOW,
    USER,
    OfflineVerifier,
    at,
    compact,
    header,
    signer,
    token,
    verdict,
    verifier_of,
)
from tests.jwt.forging import claims as forged_claims

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def key():
    return generate_key(KeySpec(Algorithm.EDDSA, None))


@pytest.fixture
def offline(key):
    return OfflineVerifier(jwk_set([key.public()]))


def reason(verifier, text):
    with pytest.raises(InvalidToken) as refusal:
        verifier.verify(text)
    return refusal.value.reason


def renew(offline):
    """As if the keys had become too old."""
    offline.keys._due_at = offline.keys._fresh_until = 0.0
    flight = offline.keys._start(monotonic())
    if flight is not None:
        flight.result(5)


def test_claims_cannot_be_changed_not_even_what_is_inside_them(key, offline):
    whole = token(key, plan={"name": "pro", "features": ["a"]})
    found = offline.verify(whole)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.roles = ("admin",)
    with pytest.raises(TypeError):
        found.extra["plan"]["name"] = "free"
    assert found.extra == {"plan": {"name": "pro", "features": ("a",)}}
    assert offline.verify(whole) is found


def test_claims_are_values(key, offline):
    whole = token(key, plan={"name": "pro"})
    found = offline.verify(whole)
    offline._remembered.entries.clear()
    again = offline.verify(whole)
    assert again is not found
    assert (again, hash(again)) == (found, hash(found))
    assert dataclasses.replace(found, scope="a b").scopes == {"a", "b"}
    assert pickle.loads(pickle.dumps(found)) == copy.deepcopy(found) == found
    asked = dataclasses.asdict(found)
    assert set(asked) == {field.name for field in dataclasses.fields(Claims)}
    assert json.loads(json.dumps(asked)) == {**asked, "roles": ["user"], "amr": ["pwd"]}


def test_cve_class_8_nobody_gets_another_ones_claims(key):
    """However tokens come and go in a cache that is far too small for them."""
    small = OfflineVerifier(jwk_set([key.public()]))
    small._cache_size = 7
    chance = random.Random(1)
    tokens = [(token(key, jti=f"t{number}"), f"t{number}") for number in range(60)]
    for _ in range(3000):
        whole, name = chance.choice(tokens)
        assert small.verify(whole[:9] + whole[9:]).token_id == name
    assert len(small._remembered.entries) == 7


def test_what_was_refused_is_not_remembered(key, offline):
    early = token(key, iat=int(NOW.timestamp()) + 60)
    assert reason(offline, early) is Reason.EARLY
    assert reason(offline, early[:-2] + "AA") is not None
    assert offline._remembered.entries == {}
    offline.moment += 40
    offline.verify(early)


@pytest.mark.parametrize("hours", [-24, -1, 1, 24])
def test_a_clock_that_is_set_anew_puts_off_no_look_at_the_keys(key, offline, hours):
    """Neither keys that were taken out nor an expiry go unseen because of it."""
    published = [jwk_set([key.public()])]
    offline.keys = KeySet(lambda: Answer(200, {}, published[0]), max_stale=3600)
    now = int(NOW.timestamp())
    whole = token(key, iat=now - 43_000, exp=now + 43_000)
    offline.verify(whole)
    offline.moment += hours * 3600
    published[0] = jwk_set([generate_key(KeySpec(Algorithm.EDDSA, None)).public()])
    renew(offline)
    expected = Reason.UNKNOWN_KEY if abs(hours) < 12 else (Reason.EXPIRED if hours > 0 else Reason.EARLY)
    assert reason(offline, whole) in (expected, Reason.UNKNOWN_KEY)


@pytest.mark.parametrize("wrong", [None, 7, b"x.y.z", ["x"], object()])
async def test_what_is_no_text_is_a_mistake_of_the_caller(offline, wrong):
    with pytest.raises(TypeError):
        offline.verify(wrong)
    with pytest.raises(TypeError):
        await offline.averify(wrong)


@pytest.mark.parametrize(
    "text", ["", ".", "..", "...", "." * 1_000_000, "é.é.é", "\ud800", "\0", "a" * 100_000_000]
)
def test_text_that_is_no_token_is_refused(offline, text):
    assert reason(offline, text) in (Reason.FORM, Reason.HEADER)


VALUES = (
    None, True, 0, -1, 1.0, 2**63, "", "a", "é", [], [""], ["a"], [1], {}, {"sub": ""},
    USER, USER.upper(), ISSUER, ISSUER + "/", AUDIENCE, [AUDIENCE],
    *(at(seconds) for seconds in (-30, 0, 30, 31, 300, 86_400, 86_401)), float(at(10)), str(at(10)),
)  # fmt: skip
NAMES = (*forged_claims(), "nbf", "key_id", "x")


def test_of_tokens_at_random_server_and_package_say_the_same(key):
    """`verdict` compares: signed by the issuer, whatever they say, and then perhaps damaged."""
    chance, server = random.Random(1), verifier_of(key)
    verdicts = set()
    for _ in range(1500):
        said = forged_claims(
            **{chance.choice(NAMES): chance.choice(VALUES) for _ in range(chance.randrange(3))}
        )
        if chance.random() < 0.2:
            said |= {"key_id": USER, "client_id": USER}
            said.pop("sid", None)
        payload = bytearray(json.dumps(said, ensure_ascii=chance.random() < 0.5).encode())
        if chance.random() < 0.3:
            payload[chance.randrange(len(payload))] = chance.choice(b'{}[]",:\\u09 \n\xc3')
        verdicts.add(verdict(server, compact(header(key), bytes(payload), signer(key))))
    assert {None, Reason.CLAIMS, Reason.ISSUER, Reason.AUDIENCE} <= verdicts


@pytest.mark.parametrize("audience", ["", None, ["https://api.example"], b"https://api.example"])
def test_an_audience_is_one_text(audience):
    with pytest.raises(ValueError, match="audience"):
        Verifier("https://id.example", audience)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (jws, "_read_header"),
        (jws, "_decode"),
        (jws, "parse"),
        (jws, "a2b_base64"),
        (keys, "_as_der"),
        (keys, "encode_dss_signature"),
        (strict_json, "_is_plain"),
        (verifier, "verified_payload"),
        (verifier, "parse"),
        (verifier, "_require_time"),
        (claims, "read"),
        (claims, "opens_and_closes"),
        (claims, "_is_uuid"),
        (claims, "texts"),
        (claims, "is_second"),
        (claims, "extra_of"),
        (claims, "_made"),
    ],
)
def test_cve_class_11_a_check_that_breaks_rejects(monkeypatch, module: ModuleType, name: str):
    def broken(*_args: object, **_named: object) -> object:
        raise RuntimeError("broken on purpose")

    fresh = generate_key(KeySpec(Algorithm.ES256, None))  # its header is in no cache yet
    offline, whole = OfflineVerifier(jwk_set([fresh.public()])), token(fresh, plan="\u00e9", nbf=1)
    monkeypatch.setattr(module, name, broken)
    assert reason(offline, whole) is Reason.BROKEN_CHECK
    monkeypatch.undo()
    assert offline.verify(whole).extra == {"plan": "é"}


def test_threads_that_verify_while_keys_come_and_go_take_no_harm(key):
    offline, published = OfflineVerifier(b""), [key, generate_key(KeySpec(Algorithm.EDDSA, None))]
    offline.keys = KeySet(lambda: Answer(200, {}, jwk_set([published[0].public()])), max_stale=3600)
    tokens = [token(each) for each in published]
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            for whole in tokens:
                with suppress(InvalidToken):
                    offline.verify(whole)

    with ThreadPoolExecutor(8) as pool:
        working = [pool.submit(work) for _ in range(8)]
        for _ in range(40):
            published.reverse()
            tokens.reverse()
            offline._looked_at = 0.0
            renew(offline)
        stop.set()
        for each in working:
            each.result()
    renew(offline)
    offline._looked_at = 0.0
    assert offline.verify(tokens[0]).audience == AUDIENCE
    assert reason(offline, tokens[1]) is Reason.UNKNOWN_KEY
