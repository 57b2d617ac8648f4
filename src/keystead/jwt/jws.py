"""Compact JWS (RFC 7515), and of it only what our own tokens use."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from keystead.jwt.types import KEY_ID, Algorithm, PublicKey, SigningKey
from keystead.kernel import strict_json
from keystead.kernel.errors import Refusal

MAX_TOKEN_BYTES = 8 * 1024
MAX_HEADER_BYTES = 1024

_SHA256 = SHA256()
_PKCS1 = PKCS1v15()
_PSS = PSS(MGF1(_SHA256), salt_length=_SHA256.digest_size)  # RFC 7518 §3.5: exactly the hash's size
_ECDSA = ECDSA(_SHA256)
_P256_BYTES = 32

# An allow-list: what else a header may hold (crit, jwk, jku, x5u, x5c, zip, b64, enc, …) is not ours.
_HEADER_MEMBERS = frozenset({"alg", "kid", "typ"})


class Reason(StrEnum):
    """Why a token was rejected: for our logs, never for the client."""

    FORM = "form"
    HEADER = "header"
    ALGORITHM = "algorithm"
    TYPE = "type"
    UNKNOWN_KEY = "unknown_key"
    SIGNATURE = "signature"
    CLAIMS = "claims"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    EXPIRED = "expired"
    EARLY = "early"
    BROKEN_CHECK = "broken_check"


class TokenRejected(Refusal):
    """The one answer to every token that does not hold. What failed is in `reason`, for logs only."""

    code = "token_invalid"
    message = "The token is not valid."

    def __init__(self, reason: Reason) -> None:
        super().__init__()
        self.reason = reason


class Header(msgspec.Struct, frozen=True, omit_defaults=True):
    """Of a compact token: only the members that ours have."""

    alg: str
    kid: str
    typ: str | None = None


def sign(payload: bytes, key: SigningKey, *, typ: str | None) -> str:
    """The compact form. Only the issuer may call this."""
    signing_input = _header_segment(key.kid, key.algorithm, typ) + b"." + _encode(payload)
    return (signing_input + b"." + _encode(_signature(key, signing_input))).decode("ascii")


def verify_compact(token: str | bytes, keys: Mapping[str, PublicKey], *, typ: str | None = None) -> bytes:
    """The payload, if one of `keys` signed it. Raises TokenRejected for everything else.

    The header's `kid` picks the key and the key dictates the algorithm; the header merely has to agree.
    Its `typ` must be exactly `typ` (None: there must be none).
    """
    whole = token_bytes(token)
    if whole.count(b".") != 2:
        raise TokenRejected(Reason.FORM)
    header_segment, payload_segment, signature_segment = whole.split(b".")
    header = _parse_header(header_segment)
    key = keys.get(header.kid)
    if key is None:
        raise TokenRejected(Reason.UNKNOWN_KEY)
    if header.alg != key.algorithm.value:
        raise TokenRejected(Reason.ALGORITHM)
    if header.typ != typ:
        raise TokenRejected(Reason.TYPE)
    payload = _decode(payload_segment)
    signing_input = whole[: -len(signature_segment) - 1]
    if not _is_signature(key, _decode(signature_segment), signing_input):
        raise TokenRejected(Reason.SIGNATURE)
    return payload


def header_of(token: str | bytes) -> Header:
    """What the header claims, before anything is verified. Raises TokenRejected."""
    return _parse_header(token_bytes(token).partition(b".")[0])


def token_bytes(token: str | bytes) -> bytes:
    """Raises TokenRejected if `token` is too long or not ASCII, before any work is done on it."""
    if len(token) > MAX_TOKEN_BYTES:
        raise TokenRejected(Reason.FORM)
    if isinstance(token, bytes):
        return token
    try:
        return token.encode("ascii")
    except UnicodeEncodeError:
        raise TokenRejected(Reason.FORM) from None


@lru_cache(maxsize=64)  # as many headers as there are keys; what raises is not kept
def _parse_header(segment: bytes) -> Header:
    if len(segment) > len(_encode(bytes(MAX_HEADER_BYTES))):
        raise TokenRejected(Reason.HEADER)
    try:
        members = strict_json.loads(_decode(segment), max_depth=1)
    except strict_json.JsonRejected:
        raise TokenRejected(Reason.HEADER) from None
    if not isinstance(members, dict) or not members.keys() <= _HEADER_MEMBERS:
        raise TokenRejected(Reason.HEADER)
    match members:
        case {"alg": str(alg), "kid": str(kid)} if KEY_ID.fullmatch(kid):
            typ = members.get("typ")
            if "typ" not in members or isinstance(typ, str):
                return Header(alg, kid, typ)
    raise TokenRejected(Reason.HEADER)


@lru_cache(maxsize=64)
def _header_segment(kid: str, algorithm: Algorithm, typ: str | None) -> bytes:
    return _encode(msgspec.json.encode(Header(algorithm.value, kid, typ)))


def _encode(raw: bytes) -> bytes:
    return urlsafe_b64encode(raw).rstrip(b"=")


def _decode(segment: bytes) -> bytes:
    """Strict base64url: its own alphabet, no padding, unused trailing bits zero."""
    try:
        raw = urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
    except binascii.Error:
        raise TokenRejected(Reason.FORM) from None
    # The decoder is lenient, the encoder is not: only a canonical segment comes back as it was.
    if _encode(raw) != segment:
        raise TokenRejected(Reason.FORM)
    return raw


def _signature(key: SigningKey, data: bytes) -> bytes:
    match key.algorithm, key.key:
        case Algorithm.RS256, RSAPrivateKey() as rsa:
            return rsa.sign(data, _PKCS1, _SHA256)
        case Algorithm.PS256, RSAPrivateKey() as rsa:
            return rsa.sign(data, _PSS, _SHA256)
        case Algorithm.ES256, EllipticCurvePrivateKey() as ec:
            r, s = decode_dss_signature(ec.sign(data, _ECDSA))
            return r.to_bytes(_P256_BYTES, "big") + s.to_bytes(_P256_BYTES, "big")
        case Algorithm.EDDSA, Ed25519PrivateKey() as ed:
            return ed.sign(data)
        case _:
            raise ValueError("the key is not one for its algorithm")


def _is_signature(key: PublicKey, signature: bytes, data: bytes) -> bool:
    try:
        _verify(key, signature, data)
    except InvalidSignature:
        return False
    return True


def _verify(key: PublicKey, signature: bytes, data: bytes) -> None:
    match key.algorithm, key.key:
        case Algorithm.RS256, RSAPublicKey() as rsa:
            rsa.verify(signature, data, _PKCS1, _SHA256)
        case Algorithm.PS256, RSAPublicKey() as rsa:
            rsa.verify(signature, data, _PSS, _SHA256)
        case Algorithm.ES256, EllipticCurvePublicKey() as ec:
            ec.verify(_as_der(signature), data, _ECDSA)
        case Algorithm.EDDSA, Ed25519PublicKey() as ed:
            ed.verify(signature, data)
        case _:
            raise InvalidSignature


def _as_der(signature: bytes) -> bytes:
    """RFC 7518 §3.4 has r and s side by side, 32 bytes each; the library wants them in DER."""
    r = int.from_bytes(signature[:_P256_BYTES], "big")
    s = int.from_bytes(signature[_P256_BYTES:], "big")
    if len(signature) != 2 * _P256_BYTES or r == 0 or s == 0:
        raise InvalidSignature
    return encode_dss_signature(r, s)
