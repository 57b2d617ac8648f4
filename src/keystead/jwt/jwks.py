"""The public keys as a JWK set (RFC 7517), for whoever verifies our tokens elsewhere."""

from base64 import urlsafe_b64encode
from collections.abc import Iterable

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from keystead.jwt.soundness import VerifyingKey
from keystead.jwt.types import PublicKey

_P256_BYTES = 32


def jwk_set(keys: Iterable[PublicKey]) -> bytes:
    """The JSON document: public parts and nothing else."""
    return msgspec.json.encode({"keys": [_jwk(key) for key in keys]})


def _jwk(key: PublicKey) -> dict[str, str]:
    return {"kid": key.kid, "use": "sig", "alg": key.algorithm.value, **_parameters(key.key)}


def _parameters(key: VerifyingKey) -> dict[str, str]:
    if isinstance(key, RSAPublicKey):
        rsa = key.public_numbers()
        return {"kty": "RSA", "n": _integer(rsa.n), "e": _integer(rsa.e)}
    if isinstance(key, EllipticCurvePublicKey):
        point = key.public_numbers()
        return {
            "kty": "EC",
            "crv": "P-256",
            "x": _integer(point.x, _P256_BYTES),
            "y": _integer(point.y, _P256_BYTES),
        }
    return {"kty": "OKP", "crv": "Ed25519", "x": _base64url(key.public_bytes_raw())}  # RFC 8037


def _integer(value: int, size: int | None = None) -> str:
    """RFC 7518: the modulus in as few bytes as it takes, a coordinate always in as many as its field has."""
    return _base64url(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def _base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
