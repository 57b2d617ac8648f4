"""Tokens that are wrong in one way each, for a verifier to refuse."""

import hmac
from collections.abc import Callable
from typing import Any

from pytest_keystead.signing import ACCESS_TOKEN_TYPE, SigningKey, b64, encoded

ELSEWHERE = "https://somebody-else.example"
_HOUR = 3600  # seconds: beyond the leeway of any verifier

Claims = dict[str, Any]


def forge(how: str, claims: Claims, key: SigningKey, stranger: SigningKey) -> str:
    """Of claims that would be fine under `key`. Raises ValueError for a way that there is none of."""
    if how not in _WAYS:
        raise ValueError(f"{how!r:.80} is none of {', '.join(FORGERIES)}")
    return _WAYS[how](claims, key, stranger)


def _unsigned(claims: Claims, key: SigningKey) -> str:
    return f"{encoded({'alg': 'none', 'kid': key.kid, 'typ': ACCESS_TOKEN_TYPE})}.{encoded(claims)}."


def _confused(claims: Claims, key: SigningKey) -> str:
    signed = f"{encoded({'alg': 'HS256', 'kid': key.kid, 'typ': ACCESS_TOKEN_TYPE})}.{encoded(claims)}"
    return f"{signed}.{b64(hmac.digest(key.public_pem(), signed.encode(), 'sha256'))}"


def _changed(claims: Claims, key: SigningKey) -> str:
    head, _, signature = key.token(claims).split(".")
    return f"{head}.{encoded({**claims, 'roles': [*claims['roles'], 'admin']})}.{signature}"


def _moved(claims: Claims, seconds: int) -> Claims:
    return {**claims, "iat": claims["iat"] + seconds, "exp": claims["exp"] + seconds}


_WAYS: dict[str, Callable[[Claims, SigningKey, SigningKey], str]] = {
    # Signed by a stranger, under the issuer's key id or their own.
    "signature": lambda claims, key, stranger: stranger.token(claims, kid=key.kid),
    "unknown_key": lambda claims, _, stranger: stranger.token(claims),
    # The header's choice (RFC 8725 §2.1): no signature, or a MAC under the public key.
    "unsigned": lambda claims, key, _: _unsigned(claims, key),
    "confused": lambda claims, key, _: _confused(claims, key),
    # One more role than was signed.
    "changed": lambda claims, key, _: _changed(claims, key),
    # Signed by the issuer, but not as an access token, not in its name, not for this audience, not for this hour.
    "type": lambda claims, key, _: key.token(claims, typ="JWT"),
    "issuer": lambda claims, key, _: key.token({**claims, "iss": ELSEWHERE}),
    "audience": lambda claims, key, _: key.token({**claims, "aud": ELSEWHERE}),
    "expired": lambda claims, key, _: key.token(_moved(claims, claims["iat"] - claims["exp"] - _HOUR)),
    "early": lambda claims, key, _: key.token(_moved(claims, _HOUR)),
}
FORGERIES = tuple(_WAYS)
