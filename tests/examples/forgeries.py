"""Tokens of which one thing is wrong, which no API may take."""

import json
import time
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.examples.conftest import Keystead
from tests.jwt.forging import b64, compact

CLAIMS = ("iss", "aud", "sub", "exp", "iat", "client_id", "jti")


def forged(keystead: Keystead) -> Iterator[tuple[str, str]]:
    """What is wrong, and the token."""
    yield from _bent(keystead)
    yield from _signed_by_others(keystead)
    yield from _headed(keystead)
    yield from _saying(keystead)


def _bent(keystead: Keystead) -> Iterator[tuple[str, str]]:
    good = keystead.signed()
    head, payload, signature = good.split(".")
    yield "nonsense", "nonsense"
    yield "no signature", f"{head}.{payload}."
    yield "one part too few", f"{head}.{payload}"
    yield "one part too many", f"{good}.{signature}"
    yield "padding", f"{good}="
    yield "unused bits of the last character", good[:-1] + {"A": "B", "Q": "R", "g": "h", "w": "x"}[good[-1]]
    yield (
        "another payload",
        f"{head}.{b64(json.dumps(keystead.claims(roles=['admin'])).encode())}.{signature}",
    )
    yield "a bit of the signature", f"{head}.{payload}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def _signed_by_others(keystead: Keystead) -> Iterator[tuple[str, str]]:
    private = keystead.key.key
    assert isinstance(private, RSAPrivateKey)
    public = private.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for what, secret in (("key", pem), ("modulus", public.public_numbers().n.to_bytes(256, "big"))):
        yield (
            f"the public {what} as a secret",
            compact(keystead.header(alg="HS256"), keystead.claims(), _mac(secret)),
        )
    yield "nobody's signature", compact(keystead.header(alg="none"), keystead.claims(), lambda _: b"")

    stranger = generate_private_key(65537, 2048)
    modulus = stranger.public_key().public_numbers().n.to_bytes(256, "big")
    jwk = {"kty": "RSA", "e": "AQAB", "n": b64(modulus)}
    headers: tuple[dict[str, object], ...] = ({}, {"jwk": jwk}, {"jku": "http://127.0.0.1:9/jwks.json"})
    for more in headers:
        signed = compact(
            keystead.header(**more),
            keystead.claims(),
            lambda data: stranger.sign(data, PKCS1v15(), SHA256()),
        )
        yield f"a stranger's key {list(more)}", signed


def _headed(keystead: Keystead) -> Iterator[tuple[str, str]]:
    for algorithm in ("PS256", "ES256", "RS512", "rs256"):
        yield f"not of the key's algorithm: {algorithm}", keystead.signed(keystead.header(alg=algorithm))
    for typ in ("JWT", "id_token", "token-introspection+jwt", ...):
        yield f"of type {typ}", keystead.signed(keystead.header(typ=typ))
    yield "an unknown key", keystead.signed(keystead.header(kid="unknown-key-0001"))
    yield "what is critical and unknown", keystead.signed(keystead.header(crit=["x"], x=1))


def _saying(keystead: Keystead) -> Iterator[tuple[str, str]]:
    now = int(time.time())
    yield "expired", keystead.signed(iat=now - 400, exp=now - 40)
    yield "not yet", keystead.signed(nbf=now + 120)
    yield "from the future", keystead.signed(iat=now + 120, exp=now + 300)
    yield "another issuer", keystead.signed(iss="http://127.0.0.1:9")
    yield "another audience", keystead.signed(aud="https://other.example")
    yield "an audience that only begins so", keystead.signed(aud=f"{keystead.url}0")
    for claim in CLAIMS:
        yield f"without {claim}", keystead.signed(None, **{claim: ...})
    yield "an expiry in words", keystead.signed(exp=str(now + 300))
    yield "an expiry that is true", keystead.signed(exp=True)
    private = keystead.key.key
    assert isinstance(private, RSAPrivateKey)
    yield (
        "no claims",
        compact(keystead.header(), b"[]", lambda data: private.sign(data, PKCS1v15(), SHA256())),
    )


def _mac(secret: bytes):
    def sign(data: bytes) -> bytes:
        made = HMAC(secret, SHA256())
        made.update(data)
        return made.finalize()

    return sign
