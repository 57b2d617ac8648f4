"""Public keys: out of a JWK set (RFC 7517), and fit to verify with."""

from base64 import urlsafe_b64decode
from collections.abc import Callable, Mapping
from math import isqrt
from types import MappingProxyType
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from keystead_verify.strict_json import parse

MAX_KEYS = 50
MIN_RSA_BITS, MAX_RSA_BITS = 2048, 8192  # beyond it one verification costs milliseconds

_SHA256 = SHA256()
_PKCS1 = PKCS1v15()
_PSS = PSS(MGF1(_SHA256), salt_length=_SHA256.digest_size)  # RFC 7518 §3.5: exactly the hash's size
_ECDSA = ECDSA(_SHA256)


class UnsoundKey(ValueError):
    """A key that does not fit its algorithm, or is weak."""


class Key:
    """One algorithm, and the key for it: a token's header can only agree. Raises UnsoundKey.

    `verify(signature, data)` raises InvalidSignature.
    """

    __slots__ = ("algorithm", "key", "verify")

    def __init__(self, algorithm: str, key: RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey) -> None:
        self.algorithm = algorithm
        self.key = key
        self.verify: Callable[[bytes, bytes], None]
        match algorithm, key:
            case "RS256" | "PS256", RSAPublicKey() as rsa:
                _require_sound_rsa(rsa.public_numbers())
                padding = _PKCS1 if algorithm == "RS256" else _PSS
                self.verify = lambda signature, data: rsa.verify(signature, data, padding, _SHA256)
            case "ES256", EllipticCurvePublicKey(curve=SECP256R1()) as ec:
                self.verify = lambda signature, data: ec.verify(_as_der(signature), data, _ECDSA)
            case "EdDSA", Ed25519PublicKey() as ed:
                self.verify = ed.verify
            case _:
                raise UnsoundKey("the key is not one for its algorithm")


def read_key_set(document: bytes) -> Mapping[str, Key] | None:
    """The keys by id. None for what is no key set, or one of which nothing could be verified with.

    A key that is not for us (another algorithm, for encryption) or not sound is left out.
    """
    members = parse(document, max_depth=8)
    listed = members.get("keys") if members else None
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        return None
    found: dict[str, Key] = {}
    for jwk in listed:
        kid = jwk.get("kid") if isinstance(jwk, dict) else None
        if not isinstance(kid, str) or kid in found:
            return None
        try:
            if jwk.get("use", "sig") == "sig" and "verify" in jwk.get("key_ops", ["verify"]):
                found[kid] = Key(jwk["alg"], _public_key(jwk))
        except (KeyError, ValueError, TypeError):
            continue
    return MappingProxyType(found) if found else None


def _public_key(jwk: Mapping[str, Any]) -> Any:
    match jwk:
        case {"kty": "RSA", "n": n, "e": e}:
            return RSAPublicNumbers(_number(e), _number(n)).public_key()
        case {"kty": "EC", "crv": "P-256", "x": x, "y": y}:
            return EllipticCurvePublicNumbers(_number(x), _number(y), SECP256R1()).public_key()
        case {"kty": "OKP", "crv": "Ed25519", "x": x}:
            return Ed25519PublicKey.from_public_bytes(_bytes(x))
        case _:
            raise UnsoundKey("no key of ours")


def _number(text: str) -> int:
    return int.from_bytes(_bytes(text), "big")


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _as_der(signature: bytes) -> bytes:
    """RFC 7518 §3.4 has r and s side by side, 32 bytes each; the library wants them in DER."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if len(signature) != 64 or r == 0 or s == 0:
        raise InvalidSignature
    return encode_dss_signature(r, s)


def _require_sound_rsa(numbers: RSAPublicNumbers) -> None:
    n = numbers.n
    if not MIN_RSA_BITS <= n.bit_length() <= MAX_RSA_BITS or numbers.e != 65537 or n % 2 == 0:
        raise UnsoundKey("size or exponent")
    middle = isqrt(n - 1) + 1
    if any(isqrt(a * a - n) ** 2 == a * a - n for a in range(middle, middle + 100)):
        raise UnsoundKey("factors too close to each other")
    # A faulty generator leaves every modulus a power of 65537 modulo each small prime (CVE-2017-15361).
    primes = (p for p in range(3, 702, 2) if all(p % d for d in range(3, isqrt(p) + 1, 2)))
    if all(n % p in {pow(65537, i, p) for i in range(p)} for p in primes):
        raise UnsoundKey("made by a faulty generator")
