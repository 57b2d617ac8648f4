"""Project Wycheproof's vectors through the public verify function.

A vector's key becomes a record of ours where it can. Where it cannot (another algorithm, not for signatures, weak,
an id outside our grammar) a sound key of ours stands under its id instead, so that the token has every chance there
is, and it must be rejected. Each vector that upstream calls valid and that is rejected here stands in STRICTER.
"""

import json
import os
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from keystead.jwt.jws import TokenRejected, verify_compact
from keystead.jwt.soundness import UnsoundKey, VerifyingKey
from keystead.jwt.types import KEY_ID, Algorithm, PublicKey, SigningKey
from keystead_verify import InvalidToken
from keystead_verify.jws import verified_payload
from keystead_verify.keys import Key, read_key_set

FOLDER = Path(
    os.environ.get("KEYSTEAD_VECTORS")
    or Path(__file__).resolve().parents[2].parent / "shared" / "vectors" / "wycheproof"
)
Vector = dict[str, Any]

STRICTER = {
    "json_web_signature_test.json": {
        "HMAC: no key of ours is symmetric": {1, 348, 352, 357, 358, 359, 372, 373, 376, 377},
        "RS384, RS512, PS384, PS512, ES512 are not offered": {
            *range(264, 272), *range(320, 324), *range(325, 329), 347, 351,
        },
        "the key is one for PS256, the header says PS384": {346, 350},
        "the key id has characters that ours never have": {345, 349},
    },
    "json_web_key_test.json": {"HMAC: no key of ours is symmetric": {2, 13, 14, 15}},
}  # fmt: skip
TOTALS = {"json_web_signature_test.json": (401, 14), "json_web_key_test.json": (26, 1)}


def vectors(name: str) -> list[tuple[Vector, Vector]]:
    """Each test with its group."""
    file = FOLDER / name
    if not file.exists():
        pytest.skip(
            f"{name} is not in {FOLDER}: set KEYSTEAD_VECTORS to the folder of Wycheproof's JOSE vectors"
        )
    return [(group, test) for group in json.loads(file.read_text())["testGroups"] for test in group["tests"]]


def known_keys(group: Vector, stand_in: SigningKey) -> dict[str, PublicKey]:
    holder = group.get("public") or group["private"]
    jwks = holder.get("keys", [holder])
    if len({jwk["kid"] for jwk in jwks}) < len(jwks) or len({jwk["kty"] for jwk in jwks}) > 1:
        jwks = []  # ids repeat, or secrets stand among public keys: no set of ours is like that
    known = {jwk["kid"]: record_of(jwk) or in_place_of(jwk["kid"], stand_in) for jwk in jwks}
    return {kid: key for kid, key in known.items() if key is not None}


def record_of(jwk: Vector) -> PublicKey | None:
    """The key as one of ours, by the rules that the record itself enforces: here only JSON is turned into a key."""
    if jwk.get("use", "sig") != "sig" or "verify" not in jwk.get("key_ops", ["verify"]):
        return None
    try:
        return PublicKey(jwk["kid"], Algorithm(jwk["alg"]), public_key(jwk))
    except (UnsoundKey, ValueError, KeyError):
        return None


def public_key(jwk: Vector) -> VerifyingKey:
    if jwk["kty"] == "RSA":
        return rsa.RSAPublicNumbers(number(jwk["e"]), number(jwk["n"])).public_key()
    curve = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}[jwk["crv"]]
    return ec.EllipticCurvePublicNumbers(number(jwk["x"]), number(jwk["y"]), curve).public_key()


def number(text: str) -> int:
    return int.from_bytes(urlsafe_b64decode(text + "=" * (-len(text) % 4)), "big")


def in_place_of(kid: str, stand_in: SigningKey) -> PublicKey | None:
    if KEY_ID.fullmatch(kid) is None:
        return None
    return PublicKey(kid, stand_in.algorithm, stand_in.key.public_key())


def is_accepted(test: Vector, keys: dict[str, PublicKey]) -> bool:
    token = test["jws"] if isinstance(test["jws"], str) else json.dumps(test["jws"])
    try:
        verify_compact(token, keys)
    except TokenRejected:
        accepted = False
    else:
        accepted = True
    assert is_accepted_by_package(token, keys) == accepted, test["tcId"]
    return accepted


def is_accepted_by_package(token: str, keys: dict[str, PublicKey]) -> bool:
    """The same, by what other services verify with."""
    try:
        verified_payload(
            token, {kid: Key(key.algorithm.value, key.key) for kid, key in keys.items()}, typ=None
        )
    except InvalidToken:
        return False
    return True


@pytest.mark.parametrize("name", TOTALS)
def test_cve_class_17_every_vector_has_the_verdict_expected_of_it(name: str, attacker: SigningKey):
    cases = vectors(name)
    accepted = {test["tcId"] for group, test in cases if is_accepted(test, known_keys(group, attacker))}
    valid = {test["tcId"] for _, test in cases if test["result"] == "valid"}
    stricter = set().union(*STRICTER[name].values())

    assert accepted == valid - stricter
    assert stricter <= valid
    assert (len(cases), len(accepted)) == TOTALS[name]


def test_every_vector_is_called_valid_or_invalid():
    assert {test["result"] for name in TOTALS for _, test in vectors(name)} == {"valid", "invalid"}


def test_asvs_v5_11_6_1_a_key_of_the_faulty_generator_is_refused_for_what_it_is():
    (group,) = (
        group for group, _ in vectors("json_web_key_test.json") if group["comment"] == "jws_rsa_roca_key"
    )
    (jwk,) = group["public"]["keys"]

    with pytest.raises(UnsoundKey, match="CVE-2017-15361"):
        PublicKey(jwk["kid"], Algorithm.RS256, public_key(jwk))
    assert read_key_set(json.dumps({"keys": [jwk]}).encode()) is None
