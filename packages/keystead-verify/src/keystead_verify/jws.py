"""Compact JWS (RFC 7515), and of it only what access tokens of Keystead use."""

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from keystead_verify.claims import parse
from keystead_verify.errors import InvalidToken, Reason
from keystead_verify.keys import Key

ACCESS_TOKEN_TYPE = "at+jwt"  # RFC 9068
MAX_TOKEN_BYTES = 8 * 1024
MAX_HEADER_CHARACTERS = 1366  # 1 KiB in base64url

# An allow-list: crit, jwk, jku, x5u, x5c, zip, b64, enc and whatever else a header may hold are not ours.
_HEADER_MEMBERS = frozenset({"alg", "kid", "typ"})
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{8,64}", re.ASCII)


class Header(NamedTuple):
    alg: str
    kid: str
    typ: str | None


def split(token: str) -> tuple[Header, bytes, bytes, bytes]:
    """Header, payload, signature, and what was signed; nothing is verified yet. Raises InvalidToken."""
    if len(token) > MAX_TOKEN_BYTES or not token.isascii() or token.count(".") != 2:
        raise InvalidToken(Reason.FORM)
    whole = token.encode("ascii")
    head, payload, signature = whole.split(b".")
    return _read_header(head), payload, signature, whole[: -len(signature) - 1]


def verified_payload(token: str, keys: Mapping[str, Key], *, typ: str | None = ACCESS_TOKEN_TYPE) -> bytes:
    """The payload, if one of `keys` signed it. Raises InvalidToken for everything else.

    The header's `kid` picks the key and the key dictates the algorithm; the header merely has to agree.
    """
    header, payload, signature, signed = split(token)
    key = keys.get(header.kid)
    if key is None:
        raise InvalidToken(Reason.UNKNOWN_KEY)
    if header.alg != key.algorithm:
        raise InvalidToken(Reason.ALGORITHM)
    if header.typ != typ:
        raise InvalidToken(Reason.TYPE)
    decoded = decode(payload)
    if not key.has_signed(decode(signature), signed):
        raise InvalidToken(Reason.SIGNATURE)
    return decoded


def decode(segment: bytes) -> bytes:
    """Strict base64url: its own alphabet, no padding, unused trailing bits zero. Raises InvalidToken."""
    try:
        raw = urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
    except binascii.Error:
        raise InvalidToken(Reason.FORM) from None
    # The decoder is lenient, the encoder is not: only a canonical segment comes back as it was.
    if urlsafe_b64encode(raw).rstrip(b"=") != segment:
        raise InvalidToken(Reason.FORM)
    return raw


@lru_cache(maxsize=64)  # as many headers as there are keys; what raises is not kept
def _read_header(segment: bytes) -> Header:
    if len(segment) > MAX_HEADER_CHARACTERS:
        raise InvalidToken(Reason.HEADER)
    members = parse(decode(segment), max_depth=1)
    if members is None or not members.keys() <= _HEADER_MEMBERS:
        raise InvalidToken(Reason.HEADER)
    match members:
        case {"alg": str(alg), "kid": str(kid)} if _KEY_ID.fullmatch(kid):
            typ = members.get("typ")
            if "typ" not in members or isinstance(typ, str):
                return Header(alg, kid, typ)
    raise InvalidToken(Reason.HEADER)
