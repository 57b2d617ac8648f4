"""The published document: what RFC 7517, 7518 and 8037 ask for, and nothing that should stay private."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from keystead.jwt.jwks import jwk_set
from keystead.jwt.keys import generate_key
from keystead.jwt.types import Algorithm, KeySpec, PublicKey
from tests.jwt.conftest import Keys

MEMBERS = {
    Algorithm.RS256: {"kty", "use", "alg", "kid", "n", "e"},
    Algorithm.PS256: {"kty", "use", "alg", "kid", "n", "e"},
    Algorithm.ES256: {"kty", "use", "alg", "kid", "crv", "x", "y"},
    Algorithm.EDDSA: {"kty", "use", "alg", "kid", "crv", "x"},
}


def test_each_key_is_published_with_its_public_members_and_no_other(keys: Keys):
    document = json.loads(jwk_set(key.public() for key in keys.values()))

    assert document.keys() == {"keys"}
    assert {jwk["alg"]: jwk.keys() for jwk in document["keys"]} == MEMBERS
    assert {jwk["kid"] for jwk in document["keys"]} == {key.kid for key in keys.values()}
    assert {jwk["use"] for jwk in document["keys"]} == {"sig"}
    assert [jwk["kty"] for jwk in document["keys"]] == ["RSA", "RSA", "EC", "OKP"]


def test_the_modulus_has_no_leading_zero_and_the_exponent_is_three_bytes(keys: Keys):
    (jwk,) = json.loads(jwk_set([keys[Algorithm.RS256].public()]))["keys"]

    assert jwk["e"] == "AQAB"
    assert len(jwk["n"]) == 342  # 256 bytes


@pytest.mark.parametrize("coordinate", ["x", "y"])
def test_a_coordinate_keeps_its_leading_zeros(coordinate: str):
    key = a_key_with_a_short(coordinate)
    (jwk,) = json.loads(jwk_set([key]))["keys"]

    assert (len(jwk["x"]), len(jwk["y"])) == (43, 43)  # 32 bytes each
    assert jwk[coordinate].startswith("A")


def a_key_with_a_short(coordinate: str) -> PublicKey:
    """One in 256 has such a coordinate."""
    while True:
        key = generate_key(KeySpec(Algorithm.ES256, None)).public()
        assert isinstance(key.key, ec.EllipticCurvePublicKey)
        if getattr(key.key.public_numbers(), coordinate) < 1 << 248:
            return key


def test_an_empty_set_is_a_document_too():
    no_keys: list[PublicKey] = []

    assert json.loads(jwk_set(no_keys)) == {"keys": []}
