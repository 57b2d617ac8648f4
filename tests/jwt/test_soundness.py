"""Keys that are weak, or do not fit their algorithm, never become keys of ours."""

import math

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from keystead.jwt.keys import generate_key
from keystead.jwt.soundness import UnsoundKey, VerifyingKey
from keystead.jwt.types import Algorithm, KeySpec, PublicKey
from tests.jwt.conftest import Keys


def of_modulus(n: int, e: int = 65537) -> rsa.RSAPublicKey:
    return rsa.RSAPublicNumbers(e, n).public_key()


def an_odd_number(bits: int) -> int:
    """Neither prime nor of any form that the checks look for."""
    return (1 << bits - 1) + (1 << bits // 2) + 12_345_678_901


def with_roca_fingerprint(bits: int) -> int:
    """A modulus of the form that CVE-2017-15361 leaves, factors aside."""
    primes = [n for n in range(2, 702) if all(n % d for d in range(2, math.isqrt(n) + 1))]
    primorial = math.prod(primes)
    return (1 << bits - 1) // primorial * primorial + primorial + pow(65537, 4321, primorial)


WEAK = {
    "1024 bits": lambda: rsa.generate_private_key(65537, 1024).public_key(),
    "2047 bits": lambda: of_modulus(an_odd_number(2047)),
    "8193 bits": lambda: of_modulus(an_odd_number(8193)),
    "exponent 3": lambda: rsa.generate_private_key(3, 2048).public_key(),
    "exponent 257": lambda: of_modulus(an_odd_number(2048), e=257),
    "even modulus": lambda: of_modulus(an_odd_number(2048) + 1),
    "close factors": lambda: of_modulus(an_odd_number(1025) * (an_odd_number(1025) + 2**16)),
    "equal factors": lambda: of_modulus(an_odd_number(1025) ** 2),
    "faulty generator": lambda: of_modulus(with_roca_fingerprint(2049)),
}


@pytest.mark.parametrize("name", WEAK)
@pytest.mark.parametrize("algorithm", [Algorithm.RS256, Algorithm.PS256])
def test_asvs_v5_11_6_1_a_weak_rsa_key_is_refused(name: str, algorithm: Algorithm):
    with pytest.raises(UnsoundKey):
        PublicKey("weak-key", algorithm, WEAK[name]())


def test_an_odd_modulus_that_is_none_of_these_is_not_taken_for_one():
    PublicKey("fair-key", Algorithm.RS256, of_modulus(an_odd_number(2048)))


def test_a_key_that_does_not_fit_its_algorithm_is_refused(keys: Keys):
    fits = {
        (algorithm, other)
        for algorithm in Algorithm
        for other, key in keys.items()
        if is_accepted(algorithm, key.key.public_key())
    }
    rsas = (Algorithm.RS256, Algorithm.PS256)

    assert fits == {(a, b) for a in rsas for b in rsas} | {
        (Algorithm.ES256, Algorithm.ES256),
        (Algorithm.EDDSA, Algorithm.EDDSA),
    }


def is_accepted(algorithm: Algorithm, key: VerifyingKey) -> bool:
    try:
        PublicKey("some-key", algorithm, key)
    except UnsoundKey:
        return False
    return True


@pytest.mark.parametrize("curve", [ec.SECP256K1(), ec.SECP384R1(), ec.SECP521R1()], ids=lambda c: c.name)
def test_es256_is_on_p256_and_no_other_curve(curve: ec.EllipticCurve):
    assert not is_accepted(Algorithm.ES256, ec.generate_private_key(curve).public_key())


@pytest.mark.parametrize(
    "kid",
    ["", "short12", "x" * 65, "a/../../b", "has space", "new\nline", "trailing\n", "naïve-kid", "a.b.c.d.e"],
)
def test_a_key_id_outside_the_grammar_is_refused(kid: str):
    with pytest.raises(ValueError, match="key id"):
        PublicKey(kid, Algorithm.EDDSA, ed25519.Ed25519PrivateKey.generate().public_key())


@pytest.mark.parametrize("bits", [2048, 3072])
def test_asvs_v5_11_2_3_an_rsa_key_has_the_size_asked_for(bits: int):
    public = generate_key(KeySpec.of(Algorithm.PS256, bits)).public().key

    assert isinstance(public, rsa.RSAPublicKey)
    assert (public.key_size, public.public_numbers().e) == (bits, 65537)


def test_an_rsa_key_needs_a_size():
    with pytest.raises(ValueError, match="size"):
        generate_key(KeySpec(Algorithm.RS256, None))


def test_asvs_v5_11_2_3_an_rsa_key_that_is_too_short_is_not_made():
    with pytest.raises(UnsoundKey):
        generate_key(KeySpec(Algorithm.RS256, 1024))


def test_generated_keys_differ_and_do_not_print():
    made = [generate_key(KeySpec.of(Algorithm.EDDSA, 2048)) for _ in range(100)]

    assert len({key.kid for key in made}) == 100
    assert len({key.public().key.public_bytes_raw() for key in made}) == 100  # type: ignore[union-attr]
    assert "Key object" not in repr(made[0])
