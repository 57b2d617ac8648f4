"""Compact JWS (RFC 7515), and of it only what access tokens of Keystead use."""

import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature

from keystead_verify.errors import InvalidToken, Reason
from keystead_verify.keys import Key
from keystead_verify.strict_json import parse

ACCESS_TOKEN_TYPE = "at+jwt"  # RFC 9068
MAX_TOKEN_BYTES = 8 * 1024
MAX_HEADER_CHARACTERS = 1366  # 1 KiB in base64url

# An allow-list: crit, jwk, jku, x5u, x5c, zip, b64, enc and whatever else a header may hold are not ours.
_HEADER_MEMBERS = frozenset({"alg", "kid", "typ"})
# To base64's own alphabet; what base64url does not have becomes what no decoder takes.
_TO_BASE64 = bytes.maketrans(b"-_+/=", b"+/!!!")
_PADDING = (b"", b"===", b"==", b"=")
# With two or three characters over, the last one has unused bits, which must be zero.
_LAST = (b"", b"", b"AQgw", b"AEIMQUYcgkosw048")
_KEY_ID = re.compile(r"[A-Za-z0-9_-]{8,64}", re.ASCII)


class Header(NamedTuple):
    alg: str
    kid: str
    typ: str | None


def verified_payload(token: str, keys: Mapping[str, Key], *, typ: str | None = ACCESS_TOKEN_TYPE) -> bytes:
    """The payload, if one of `keys` signed it. Raises InvalidToken for everything else.

    The header's `kid` picks the key and the key dictates the algorithm; the header merely has to agree.
    """
    if len(token) > MAX_TOKEN_BYTES or not token.isascii():
        raise InvalidToken(Reason.FORM)
    whole = token.encode("ascii")
    segments = whole.translate(_TO_BASE64).split(b".", 3)
    if len(segments) != 3:
        raise InvalidToken(Reason.FORM)
    head, payload, signature = segments
    alg, kid, its_typ = _read_header(head)
    key = keys.get(kid)
    if key is None:
        raise InvalidToken(Reason.UNKNOWN_KEY)
    if alg != key.algorithm:
        raise InvalidToken(Reason.ALGORITHM)
    if its_typ != typ:
        raise InvalidToken(Reason.TYPE)
    decoded = _decode(payload)
    try:
        key.verify(_decode(signature), whole[: -len(signature) - 1])
    except InvalidSignature:
        raise InvalidToken(Reason.SIGNATURE) from None
    return decoded


def _decode(segment: bytes) -> bytes:
    """Strict base64url, translated: its own alphabet, no padding, unused trailing bits zero. Raises InvalidToken."""
    rest = len(segment) % 4
    if rest and segment[-1] not in _LAST[rest]:
        raise InvalidToken(Reason.FORM)
    try:
        return a2b_base64(segment + _PADDING[rest], strict_mode=True)
    except Base64Error:
        raise InvalidToken(Reason.FORM) from None


@lru_cache(maxsize=64)  # as many headers as there are keys; what raises is not kept
def _read_header(segment: bytes) -> Header:
    if len(segment) > MAX_HEADER_CHARACTERS:
        raise InvalidToken(Reason.HEADER)
    members = parse(_decode(segment), max_depth=1)
    if members is None or not members.keys() <= _HEADER_MEMBERS:
        raise InvalidToken(Reason.HEADER)
    match members:
        case {"alg": str(alg), "kid": str(kid)} if _KEY_ID.fullmatch(kid):
            typ = members.get("typ")
            if "typ" not in members or isinstance(typ, str):
                return Header(alg, kid, typ)
    raise InvalidToken(Reason.HEADER)
