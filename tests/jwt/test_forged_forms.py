"""Only one form is read, and its JSON in only one way."""

import json
import tracemalloc
from collections.abc import Callable

import pytest

from keystead.jwt.jws import Reason
from keystead.jwt.types import SigningKey
from keystead.jwt.verifier import TokenVerifier
from tests.jwt.corpora import NOT_OBJECTS, bent
from tests.jwt.forging import b64, claims, compact, header, signer, token, verdict


def test_cve_class_09_json_serializations_are_rejected(verifier: TokenVerifier, key: SigningKey):
    whole = token(key)
    head, payload, signature = whole.split(".")
    flat = {"payload": payload, "protected": head, "signature": signature}
    general = {"payload": payload, "signatures": [{"protected": head, "signature": signature}]}
    polyglots = [
        json.dumps({whole: "", **flat}),
        json.dumps({f"{head}.": f".{signature}", **flat}),
        f'{{"{head}.{payload}.{signature}":1}}',
        f'{{"  {head}.":"","payload":"{payload}","signature":"{signature}"}}.{payload}.{signature}',
        f"{head}.{payload}.{signature}{{}}",
        f'{{"a":"{head}"}}.{payload}.{signature}',
    ]

    for forged in (json.dumps(flat), json.dumps(general), *polyglots):
        assert verdict(verifier, forged) in (Reason.FORM, Reason.HEADER), forged


@pytest.mark.parametrize("alg", ["dir", "RSA-OAEP", "PBES2-HS256+A128KW", "RS256"])
def test_cve_class_10_13_encrypted_tokens_are_rejected_undeciphered(
    verifier: TokenVerifier, key: SigningKey, alg: str
):
    head = b64(json.dumps(header(key, alg=alg, enc="A256GCM", zip="DEF", p2c=2**31 - 1)).encode())
    whole = token(key)

    assert verdict(verifier, f"{head}.AAAA.AAAA.AAAA.AAAA") is Reason.FORM
    assert verdict(verifier, f"{head}..AAAA.AAAA.") is Reason.FORM
    assert verdict(verifier, f"{whole}.AAAA.AAAA") is Reason.FORM
    assert verdict(verifier, f"{head}.AAAA.AAAA") is Reason.HEADER


@pytest.mark.parametrize(
    "huge",
    [
        lambda whole: b"A" * (100 << 20),
        lambda whole: b"." * 1_000_000,
        lambda whole: whole.encode() + b"." * 1_000_000,
        lambda whole: whole.encode().replace(b".", b"." + b"A" * (10 << 20), 1),
        lambda whole: "é" * 8192,
        lambda whole: "A" * 8193,
    ],
    ids=["100 MiB", "a million dots", "dots after a token", "long payload", "not ASCII", "one too many"],
)
def test_cve_class_12_a_huge_token_costs_nothing(
    verifier: TokenVerifier, key: SigningKey, huge: Callable[[str], str | bytes]
):
    forged = huge(token(key))
    tracemalloc.start()
    try:
        assert verdict(verifier, forged) is Reason.FORM
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_cve_class_14_an_iteration_count_is_not_obeyed(verifier: TokenVerifier, key: SigningKey):
    forged = token(key, header(key, alg="PBES2-HS256+A128KW", p2c=2**31 - 1, p2s="AAAA"))

    assert verdict(verifier, forged) is Reason.HEADER


@pytest.mark.parametrize(
    "junk", ["\0", "\n", " ", "\t", "\x7f", "é", "\ud800", "\u202e", "=", "%2E", "\ufeff"]
)
def test_nothing_may_stand_around_a_token(verifier: TokenVerifier, key: SigningKey, junk: str):
    whole = token(key)

    for forged in (whole + junk, junk + whole, whole.replace(".", junk + "."), whole.replace(".", junk)):
        assert verdict(verifier, forged) is not None


def test_a_payload_that_json_does_not_allow_or_leaves_open_is_rejected(
    verifier: TokenVerifier, key: SigningKey
):
    good = json.dumps(claims()).encode()
    forged = {name: compact(header(key), raw, signer(key)) for name, raw in bent(good).items()}
    forged |= {f"bare {raw!r}": compact(header(key), raw, signer(key)) for raw in NOT_OBJECTS}

    verdicts = {name: verdict(verifier, text) for name, text in forged.items()}
    # A list is JSON as good as an object, and has no issuer; everything else is not even that.
    assert verdicts == dict.fromkeys(forged, Reason.CLAIMS)


def test_nesting_is_bounded(verifier: TokenVerifier, key: SigningKey):
    def nested(depth: int) -> str:
        raw = json.dumps(claims()).encode()
        return compact(header(key), raw[:-1] + b',"app":' + b"[" * depth + b"]" * depth + b"}", signer(key))

    assert verdict(verifier, nested(7)) is None
    assert {verdict(verifier, nested(depth)) for depth in (8, 9, 500, 2000)} == {Reason.CLAIMS}
