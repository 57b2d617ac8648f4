"""What a key must be before anything is verified with it."""

from math import isqrt

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

VerifyingKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192  # beyond it one verification costs milliseconds
PUBLIC_EXPONENT = 65537


class UnsoundKey(ValueError):
    """A key that does not fit its algorithm, or is weak; the text says why and holds nothing of the key."""


def require_sound(algorithm: str, key: VerifyingKey) -> None:
    """Raises UnsoundKey unless `key` may verify signatures made with `algorithm`."""
    match algorithm, key:
        case "RS256" | "PS256", RSAPublicKey():
            numbers = key.public_numbers()
            _require_sound_rsa(numbers.n, numbers.e)
        case "ES256", EllipticCurvePublicKey():
            if not isinstance(key.curve, SECP256R1):
                raise UnsoundKey("not on the curve P-256")
        case "EdDSA", Ed25519PublicKey():
            pass
        case _:
            raise UnsoundKey("the key is not one for its algorithm")


def _require_sound_rsa(n: int, e: int) -> None:
    if not MIN_RSA_BITS <= n.bit_length() <= MAX_RSA_BITS:
        raise UnsoundKey(f"the modulus has {n.bit_length()} bits, not {MIN_RSA_BITS} to {MAX_RSA_BITS}")
    if e != PUBLIC_EXPONENT:
        raise UnsoundKey("the public exponent is not 65537")
    if n % 2 == 0:
        raise UnsoundKey("the modulus is even")
    if _has_close_factors(n):
        raise UnsoundKey("the factors of the modulus are too close to each other")
    if _has_roca_fingerprint(n):
        raise UnsoundKey("the modulus was made by a faulty generator (CVE-2017-15361)")


def _has_close_factors(n: int) -> bool:
    """A hundred steps of Fermat's method."""
    middle = isqrt(n - 1) + 1
    return any(isqrt(a * a - n) ** 2 == a * a - n for a in range(middle, middle + 100))


def _has_roca_fingerprint(n: int) -> bool:
    # The faulty generator leaves every modulus a power of 65537 modulo each of these primes. Of a sound one
    # that holds for about half of the first few, so the rest are hardly ever computed.
    return all(n % prime in {pow(65537, i, prime) for i in range(prime)} for prime in _small_odd_primes())


def _small_odd_primes() -> list[int]:
    return [n for n in range(3, 702, 2) if all(n % d for d in range(3, isqrt(n) + 1, 2))]
