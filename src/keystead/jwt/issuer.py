"""The only place that signs."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from keystead.jwt.jws import sign
from keystead.jwt.keyring import Keyring
from keystead.jwt.types import ACCESS_TOKEN_TYPE, MAX_TOKEN_LIFE
from keystead.kernel.errors import Refusal
from keystead.kernel.ids import ServiceAccountId, SessionId, UserId, new_uuid
from keystead.kernel.secrets import Secret

INTROSPECTION_TYPE = "token-introspection+jwt"
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


class _MachinePayload(msgspec.Struct, frozen=True):
    iss: str
    sub: UUID
    aud: str
    client_id: UUID
    exp: int
    iat: int
    jti: UUID
    key_id: UUID
    roles: tuple[str, ...]
    scope: str


class TokenIssuer:
    """Signs access tokens (RFC 9068) of one issuer with the key that is active."""

    def __init__(self, keyring: Keyring, *, issuer: str) -> None:
        self._keyring = keyring
        self._issuer = issuer

    def issue(  # noqa: PLR0913 - claims, by name
        self,
        *,
        audience: str,
        ttl: timedelta,
        user_id: UserId,
        session_id: SessionId,
        client_id: str,
        auth_time: datetime | None,
        amr: tuple[str, ...],
        roles: tuple[str, ...],
        now: datetime,
        actor_id: UserId | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> IssuedToken:
        """`now` is the database's time; `more` are claims beside ours, none of which is one of ours.

        Raises TokenTooLarge, and NoSigningKey when none is active.
        """
        issued_at, expires_at = _window(now, ttl)
        payload = _Payload(
            iss=self._issuer,
            sub=user_id,
            aud=audience,
            client_id=client_id,
            exp=expires_at,
            iat=issued_at,
            jti=new_uuid(),
            sid=session_id,
            amr=amr,
            roles=roles,
            scope="",
            auth_time=None if auth_time is None else int(auth_time.timestamp()),
            act=None if actor_id is None else _Actor(actor_id),
        )
        return self._sign(payload, more, now)

    def issue_to_machine(
        self,
        *,
        audience: str,
        ttl: timedelta,
        account_id: ServiceAccountId,
        key_id: UUID,
        roles: tuple[str, ...],
        scope: str,
        now: datetime,
    ) -> IssuedToken:
        """For a service account, which is its own client (RFC 9068 §2.2), on the strength of one of its keys."""
        issued_at, expires_at = _window(now, ttl)
        payload = _MachinePayload(
            iss=self._issuer,
            sub=account_id,
            aud=audience,
            client_id=account_id,
            exp=expires_at,
            iat=issued_at,
            jti=new_uuid(),
            key_id=key_id,
            roles=roles,
            scope=scope,
        )
        return self._sign(payload, None, now)

    def sign_introspection(self, *, audience: str, answer: Mapping[str, Any], now: datetime) -> str:
        """RFC 9701 §5: signed, and of a type that passes for no access token."""
        claims = {
            "iss": self._issuer,
            "aud": audience,
            "iat": int(now.timestamp()),
            "token_introspection": answer,
        }
        return sign(msgspec.json.encode(claims), self._keyring.current(now), typ=INTROSPECTION_TYPE)

    def _sign(
        self, payload: _Payload | _MachinePayload, more: Mapping[str, Any] | None, now: datetime
    ) -> IssuedToken:
        claims: Any = {**more, **msgspec.to_builtins(payload)} if more else payload
        token = sign(msgspec.json.encode(claims), self._keyring.current(now), typ=ACCESS_TOKEN_TYPE)
        if len(token) > MAX_ISSUED_BYTES:
            raise TokenTooLarge(claim=_largest_claim(msgspec.to_builtins(claims)))
        return IssuedToken(Secret(token), payload.exp - payload.iat)


def _window(now: datetime, ttl: timedelta) -> tuple[int, int]:
    if not timedelta(seconds=1) <= ttl <= MAX_TOKEN_LIFE:
        raise ValueError("a token lives for one second at least and a day at most")
    issued_at = int(now.timestamp())
    return issued_at, issued_at + int(ttl.total_seconds())


def _largest_claim(claims: Mapping[str, Any]) -> str:
    return max(claims, key=lambda name: len(msgspec.json.encode(claims[name])))
