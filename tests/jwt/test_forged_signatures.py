"""No signature but that of the key's own algorithm counts."""

import hmac
from collections.abc import Callable
from functools import partial

import pytest

from keystead.jwt import jws
from keystead.jwt.jws import Reason
from keystead.jwt.types import Algorithm, SigningKey
from keystead.jwt.verifier import TokenVerifier
from tests.jwt.conftest import Keys
from tests.jwt.corpora import NONES, public_forms
from tests.jwt.forging import Sign, claims, compact, header, signer, token, verdict


def token_with(sign: Sign, head: dict[str, object]) -> str:
    return compact(head, claims(), sign)


def hmac_with(secret: bytes, name: str) -> Sign:
    return lambda data: hmac.digest(secret, data, name)


def _always(signature: bytes, _data: bytes) -> bytes:
    return signature


def test_cve_class_02_none_is_not_an_algorithm(verifier: TokenVerifier, any_key: SigningKey):
    signs: list[Sign] = [signer(any_key), lambda _data: b"", hmac_with(b"", "sha256")]
    forged = [
        token_with(sign, header(any_key, alg=none))
        for none in [*NONES, "none ", " none", "none\0", "", "null", "NULL"]
        for sign in signs
    ]

    assert {verdict(verifier, text) for text in forged} == {Reason.ALGORITHM}


@pytest.mark.parametrize("alg", [None, 0, False, [], ["RS256"], {}, {"alg": "RS256"}, 256.0])
def test_asvs_v5_9_1_2_the_algorithm_is_a_string(verifier: TokenVerifier, key: SigningKey, alg: object):
    assert verdict(verifier, token(key, header(key, alg=alg))) is Reason.HEADER


def test_cve_class_01_a_public_key_is_no_hmac_secret(verifier: TokenVerifier, any_key: SigningKey):
    secrets = list(public_forms(any_key))
    forged = [
        token_with(hmac_with(secret, name), header(any_key, alg=f"HS{name[3:]}"))
        for secret in secrets
        for name in ("sha256", "sha384", "sha512")
    ]

    assert len(secrets) >= 40
    assert {verdict(verifier, text) for text in forged} == {Reason.ALGORITHM}


def test_cve_class_01_an_hmac_under_our_algorithms_name_is_no_signature(
    verifier: TokenVerifier, any_key: SigningKey
):
    forged = [token_with(hmac_with(secret, "sha256"), header(any_key)) for secret in public_forms(any_key)]

    assert {verdict(verifier, text) for text in forged} == {Reason.SIGNATURE}


@pytest.mark.parametrize("kid", [..., "", "unknown-key-id", None, 0])
def test_cve_class_04_an_unknown_key_is_no_empty_secret(
    verifier: TokenVerifier, key: SigningKey, kid: object
):
    for alg in ("HS256", "RS256", "none"):
        forged = token_with(hmac_with(b"", "sha256"), header(key, alg=alg, kid=kid))
        expected = Reason.UNKNOWN_KEY if kid == "unknown-key-id" else Reason.HEADER
        assert verdict(verifier, forged) is expected


@pytest.mark.parametrize(
    "alg",
    [
        *(
            "rs256",
            "Rs256",
            "RS256\0",
            "RS384",
            "RS512",
            "PS384",
            "PS512",
            "ES256K",
            "ES384",
            "ES512",
            "eddsa",
            "EDDSA",
        ),
        *(
            "Ed25519",
            "Ed448",
            "HS256",
            "RS1",
            "RSA1_5",
            "RSA-OAEP",
            "dir",
            "A128KW",
            "PBES2-HS256+A128KW",
            "RS256,none",
        ),
    ],
)
def test_asvs_v5_9_1_2_an_algorithm_outside_the_list_is_rejected(
    verifier: TokenVerifier, any_key: SigningKey, alg: str
):
    assert verdict(verifier, token(any_key, header(any_key, alg=alg))) is Reason.ALGORITHM


def test_cve_class_06_the_header_cannot_choose_among_our_algorithms(verifier: TokenVerifier, keys: Keys):
    swapped = {
        (name, key.algorithm): verdict(verifier, token(key, header(key, alg=name.value)))
        for name in Algorithm
        for key in keys.values()
        if name is not key.algorithm
    }

    assert len(swapped) == 12
    assert set(swapped.values()) == {Reason.ALGORITHM}


@pytest.mark.parametrize("own", [Algorithm.RS256, Algorithm.PS256])
def test_asvs_v5_9_1_2_one_key_signs_with_one_padding(verifier: TokenVerifier, keys: Keys, own: Algorithm):
    other = Algorithm.PS256 if own is Algorithm.RS256 else Algorithm.RS256
    key = keys[own]

    truthful = compact(header(key, alg=other.value), claims(), signer(key, other))
    lying = compact(header(key), claims(), signer(key, other))
    assert (verdict(verifier, truthful), verdict(verifier, lying)) == (Reason.ALGORITHM, Reason.SIGNATURE)


def test_a_key_signs_under_its_own_id_only(verifier: TokenVerifier, keys: Keys):
    for key in keys.values():
        for other in keys.values():
            forged = compact(header(key, alg=other.algorithm.value, kid=other.kid), claims(), signer(key))
            assert verdict(verifier, forged) is (None if key is other else Reason.SIGNATURE)


def test_cve_class_17_zero_is_no_ecdsa_signature(verifier: TokenVerifier, keys: Keys):
    key = keys[Algorithm.ES256]
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    numbers = [0, 1, order - 1, order, order + 1, 2**256 - 1]
    forged = [r.to_bytes(32, "big") + s.to_bytes(32, "big") for r in numbers for s in numbers]
    forged += [bytes(63), bytes(65), bytes(72), bytes(0), bytes.fromhex("3006020100020100")]

    for raw in forged:
        assert verdict(verifier, token_with(partial(_always, raw), header(key))) is Reason.SIGNATURE


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw[:32] + b"\0" + raw[32:],
        lambda raw: raw[:32] + bytes(1000) + raw[32:],
        lambda raw: b"\0" + raw,
        lambda raw: raw + b"\0",
        lambda raw: raw[:63],
        jws._as_der,
    ],
    ids=["longer s", "much longer s", "zero before", "zero after", "cut", "DER"],
)
def test_an_es256_signature_is_r_and_s_of_32_bytes_each(
    verifier: TokenVerifier, keys: Keys, change: Callable[[bytes], bytes]
):
    key = keys[Algorithm.ES256]
    sign = signer(key)

    assert verdict(verifier, token_with(lambda data: change(sign(data)), header(key))) is Reason.SIGNATURE


def test_an_ed25519_signature_cannot_be_restated(verifier: TokenVerifier, keys: Keys):
    key = keys[Algorithm.EDDSA]
    sign = signer(key)
    group_order = 2**252 + 27742317777372353535851937790883648493

    def with_larger_s(data: bytes) -> bytes:
        raw = sign(data)
        return raw[:32] + (int.from_bytes(raw[32:], "little") + group_order).to_bytes(32, "little")

    assert verdict(verifier, token_with(with_larger_s, header(key))) is Reason.SIGNATURE
