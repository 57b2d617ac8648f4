"""The header decides nothing: it may only agree."""

import json
from base64 import b64encode

import pytest

from keystead.jwt.jwks import jwk_set
from keystead.jwt.jws import Reason
from keystead.jwt.types import SigningKey
from keystead.jwt.verifier import TokenVerifier
from tests.jwt.corpora import DER, FORGED_HEADER_MEMBERS, NOT_OBJECTS, bent, key_ids
from tests.jwt.forging import b64, claims, compact, header, signer, token, verdict, verifier_of


def test_cve_class_03_a_key_in_the_header_is_not_used(
    verifier: TokenVerifier, key: SigningKey, attacker: SigningKey, outside: list[str]
):
    (jwk,) = json.loads(jwk_set([attacker.public()]))["keys"]
    certificate = b64encode(attacker.key.public_key().public_bytes(*DER)).decode()
    embedded: list[dict[str, object]] = [
        {"jwk": jwk},
        {"jwk": {**jwk, "kid": key.kid}},
        {"x5c": [certificate]},
        {"jku": "http://127.0.0.1:9/jwks.json"},
        {"jku": "file:///etc/passwd"},
        {"x5u": "http://127.0.0.1:9/cert.pem"},
    ]
    forged = [
        compact(header(key, kid=kid, **members), claims(), signer(attacker))
        for members in embedded
        for kid in (key.kid, attacker.kid, ...)
    ]

    outside.clear()
    assert {verdict(verifier, text) for text in forged} == {Reason.HEADER}
    assert outside == []


def test_asvs_v5_9_1_3_a_member_that_is_not_ours_is_refused_even_when_signed_by_us(
    verifier: TokenVerifier, any_key: SigningKey, outside: list[str]
):
    verdicts = {
        name: verdict(verifier, token(any_key, header(any_key, **{name: value})))
        for name, value in FORGED_HEADER_MEMBERS.items()
    }

    assert verdicts == dict.fromkeys(FORGED_HEADER_MEMBERS, Reason.HEADER)
    assert outside == []


@pytest.mark.parametrize(
    "extra",
    [
        {"crit": ["x"]},
        {"crit": ["x"], "x": 1},
        {"crit": []},
        {"crit": ["alg"]},
        {"crit": ["b64"], "b64": False},
        {"crit": ["b64"], "b64": True},
        {"crit": ["exp"], "exp": 1},
        {"crit": ["crit"]},
        {"crit": [None]},
        {"crit": "alg"},
        {"crit": {}},
        {"crit": None},
        {"crit": ["x", "x"]},
    ],
    ids=json.dumps,
)
def test_cve_class_05_critical_members_are_refused(
    verifier: TokenVerifier, key: SigningKey, extra: dict[str, object]
):
    assert verdict(verifier, token(key, header(key, **extra))) is Reason.HEADER


def test_b64_false_with_an_unencoded_payload_is_refused(verifier: TokenVerifier, key: SigningKey):
    head = b64(json.dumps(header(key, b64=False, crit=["b64"])).encode())
    payload = json.dumps(claims(scope=""), separators=(",", ":")).replace(".", "")
    forged = f"{head}.{payload}.{b64(signer(key)(f'{head}.{payload}'.encode()))}"

    assert verdict(verifier, forged) is Reason.HEADER


def test_cve_class_18_a_key_id_is_looked_up_and_nothing_else(key: SigningKey, outside: list[str]):
    verifier = verifier_of(key)
    forged = [token(key, header(key, kid=kid)) for kid in key_ids(key.kid)]

    outside.clear()
    verdicts = [verdict(verifier, text) for text in forged]
    assert outside == []
    assert len(forged) >= 500
    assert set(verdicts) == {Reason.HEADER, Reason.UNKNOWN_KEY}


@pytest.mark.parametrize(
    "typ",
    ["JWT", "at+JWT", "AT+JWT", "application/at+jwt", "dpop+jwt", "logout+jwt", "secevent+jwt", "id_token",
     "reset+jwt", "", "at+jwt\0", " at+jwt"],
)  # fmt: skip
def test_asvs_v5_9_2_2_a_token_for_another_purpose_is_rejected(
    verifier: TokenVerifier, any_key: SigningKey, typ: str
):
    assert verdict(verifier, token(any_key, header(any_key, typ=typ))) is Reason.TYPE


@pytest.mark.parametrize("typ", [None, 1, [], ["at+jwt"], {}], ids=json.dumps)
def test_asvs_v5_9_2_2_the_type_is_a_string(verifier: TokenVerifier, key: SigningKey, typ: object):
    assert verdict(verifier, token(key, header(key, typ=typ))) is Reason.HEADER


def test_asvs_v5_9_2_2_a_token_without_a_type_is_rejected(verifier: TokenVerifier, key: SigningKey):
    assert verdict(verifier, token(key, header(key, typ=...))) is Reason.TYPE


def test_a_header_that_json_does_not_allow_or_leaves_open_is_rejected(
    verifier: TokenVerifier, key: SigningKey
):
    good = json.dumps(header(key)).encode()
    assert verdict(verifier, compact(good, claims(), signer(key))) is None
    forged = {name: compact(head, claims(), signer(key)) for name, head in bent(good).items()}
    forged |= {f"bare {raw!r}": compact(raw, claims(), signer(key)) for raw in NOT_OBJECTS}

    assert {name: verdict(verifier, text) for name, text in forged.items()} == dict.fromkeys(
        forged, Reason.HEADER
    )
