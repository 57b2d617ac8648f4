"""Keys that sign access tokens as Keystead's do."""

import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

Algorithm = Literal["RS256", "ES256"]

ACCESS_TOKEN_TYPE = "at+jwt"
_RSA_BITS = 2048
_P256_BYTES = 32


class SigningKey:
    """A new key."""

    def __init__(self, algorithm: Algorithm) -> None:
        self.kid = secrets.token_hex(8)
        self.algorithm = algorithm
        self._key: RSAPrivateKey | EllipticCurvePrivateKey = (
            generate_rsa(65537, _RSA_BITS) if algorithm == "RS256" else generate_ec(SECP256R1())
        )

    def jwk(self) -> dict[str, str]:
        head = {"kid": self.kid, "use": "sig", "alg": self.algorithm}
        public = self._key.public_key()
        if isinstance(public, EllipticCurvePublicKey):
            point = public.public_numbers()
            x, y = (b64(number.to_bytes(_P256_BYTES, "big")) for number in (point.x, point.y))
            return {**head, "kty": "EC", "crv": "P-256", "x": x, "y": y}
        numbers = public.public_numbers()
        n, e = (
            b64(number.to_bytes((number.bit_length() + 7) // 8, "big")) for number in (numbers.n, numbers.e)
        )
        return {**head, "kty": "RSA", "n": n, "e": e}

    def public_pem(self) -> bytes:
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def token(
        self, claims: Mapping[str, Any], *, kid: str | None = None, typ: str = ACCESS_TOKEN_TYPE
    ) -> str:
        """`claims` that are None are left out."""
        payload = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": self.algorithm, "kid": kid or self.kid, "typ": typ}
        signed = f"{encoded(header)}.{encoded(payload)}"
        return f"{signed}.{b64(self._sign(signed.encode()))}"

    def _sign(self, data: bytes) -> bytes:
        if isinstance(self._key, RSAPrivateKey):
            return self._key.sign(data, PKCS1v15(), SHA256())
        r, s = decode_dss_signature(self._key.sign(data, ECDSA(SHA256())))
        return r.to_bytes(_P256_BYTES, "big") + s.to_bytes(_P256_BYTES, "big")


def encoded(part: Mapping[str, Any]) -> str:
    return b64(json.dumps(part, separators=(",", ":")).encode())


def payload_of(token: str) -> dict[str, Any]:
    """The claims, whoever signed them."""
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
