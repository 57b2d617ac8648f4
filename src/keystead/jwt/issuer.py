"""The only place that signs."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from keystead.jwt.jws import sign
from keystead.jwt.keyring import Keyring
from keystead.jwt.types import ACCESS_TOKEN_TYPE, MAX_TOKEN_LIFE
from keystead.kernel.errors import Refusal
from keystead.kernel.ids import SessionId, UserId, new_uuid
from keystead.kernel.secrets import Secret

MAX_ISSUED_BYTES = 4 * 1024  # what a proxy or a cookie still carries; verifiers take twice that


class TokenTooLarge(Refusal):
    """An access token would be longer than 4 KiB; `claim` names the one that takes most of it."""

    code = "token_too_large"
    message = "The access token would be too large: shorten the claim that is named."


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A signed access token, and the whole seconds until it expires."""

    token: Secret
    expires_in: int


class _Actor(msgspec.Struct, frozen=True):
    """RFC 8693 §4.1: who acts in the subject's name."""

    sub: UUID


class _Payload(msgspec.Struct, frozen=True, omit_defaults=True):
    iss: str
    sub: UUID
    aud: str
    client_id: str
    exp: int
    iat: int
    jti: UUID
    sid: UUID
    amr: tuple[str, ...]
    roles: tuple[str, ...]
    scope: str
    auth_time: int | None = None
    act: _Actor | None = None


class TokenIssuer:
    """Signs access tokens (RFC 9068) of one issuer for one audience with the key that is active."""

    def __init__(self, keyring: Keyring, *, issuer: str, audience: str, ttl: timedelta) -> None:
        if not timedelta(seconds=1) <= ttl <= MAX_TOKEN_LIFE:
            raise ValueError("a token lives for one second at least and a day at most")
        self._keyring = keyring
        self._issuer = issuer
        self._audience = audience
        self._ttl = int(ttl.total_seconds())

    def issue(  # noqa: PLR0913 - claims, by name
        self,
        *,
        user_id: UserId,
        session_id: SessionId,
        client_id: str,
        auth_time: datetime | None,
        amr: tuple[str, ...],
        roles: tuple[str, ...],
        now: datetime,
        actor_id: UserId | None = None,
        scope: str = "",
    ) -> IssuedToken:
        """`now` is the database's time. Raises TokenTooLarge, and NoSigningKey when none is active."""
        issued_at = int(now.timestamp())
        payload = _Payload(
            iss=self._issuer,
            sub=user_id,
            aud=self._audience,
            client_id=client_id,
            exp=issued_at + self._ttl,
            iat=issued_at,
            jti=new_uuid(),
            sid=session_id,
            amr=amr,
            roles=roles,
            scope=scope,
            auth_time=None if auth_time is None else int(auth_time.timestamp()),
            act=None if actor_id is None else _Actor(actor_id),
        )
        token = sign(msgspec.json.encode(payload), self._keyring.current(now), typ=ACCESS_TOKEN_TYPE)
        if len(token) > MAX_ISSUED_BYTES:
            raise TokenTooLarge(claim=_largest_claim(payload))
        return IssuedToken(Secret(token), self._ttl)


def _largest_claim(payload: _Payload) -> str:
    return max(payload.__struct_fields__, key=lambda name: len(msgspec.json.encode(getattr(payload, name))))
