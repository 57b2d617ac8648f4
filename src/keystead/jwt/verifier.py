"""The one way to read an access token: signature and claims in one call."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog

from keystead.jwt.claims import Window, read_claims
from keystead.jwt.jws import Reason, TokenRejected, token_bytes, verify_compact
from keystead.jwt.keyring import Keyring
from keystead.jwt.types import ACCESS_TOKEN_TYPE, AccessClaims, MachineClaims, PublicKey
from keystead.kernel.secrets import digest

log = structlog.get_logger("jwt")


class Audiences(Protocol):
    """Whom tokens may be for. `accepted` is the same object until it changes."""

    @property
    def accepted(self) -> frozenset[str]: ...

    async def look_again(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class _Verified:
    claims: AccessClaims | MachineClaims
    window: Window


class TokenVerifier:
    """Verifies access tokens of one issuer for the audiences that there are at the moment.

    Tokens that were verified are remembered, by the digest of their whole text, until keys or audiences change. That
    saves the signature only: expiry is judged on every call, and the database says whether the session lives.
    """

    def __init__(
        self, keyring: Keyring, *, issuer: str, audiences: Audiences, capacity: int = 10_000
    ) -> None:
        self._keyring = keyring
        self._issuer = issuer
        self._audiences = audiences
        self._capacity = capacity
        self._keys: Mapping[str, PublicKey] = {}
        self._accepted: frozenset[str] = frozenset()
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()

    async def verify(self, token: str | bytes, *, now: datetime) -> AccessClaims | MachineClaims:
        """What `token` claims. Raises TokenRejected, whatever is wrong with it and whatever breaks meanwhile.

        A key or an audience that is unknown here may be a moment old: they are then read again, at most once in two
        seconds however many such tokens come.
        """
        try:
            return self.check(token, now=now)
        except TokenRejected as rejected:
            if not await self._look_again(rejected.reason):
                raise
        return self.check(token, now=now)

    async def verify_session(self, token: str | bytes, *, now: datetime) -> AccessClaims:
        """`verify`, for what a service account cannot do. Raises TokenRejected for its tokens, too."""
        claims = await self.verify(token, now=now)
        if isinstance(claims, MachineClaims):
            raise TokenRejected(Reason.CLAIMS)
        return claims

    async def _look_again(self, reason: Reason) -> bool:
        match reason:
            case Reason.UNKNOWN_KEY:
                return await self._keyring.look_again()
            case Reason.AUDIENCE:
                return await self._audiences.look_again()
            case _:
                return False

    def check(self, token: str | bytes, *, now: datetime) -> AccessClaims | MachineClaims:
        """`verify` with the keys that are known now."""
        try:
            return self._check(token, now)
        except TokenRejected:
            raise
        except Exception as error:
            # A check that breaks must refuse: never pass, never take the request down.
            log.exception("token.check_broke")
            raise TokenRejected(Reason.BROKEN_CHECK) from error

    def _check(self, token: str | bytes, now: datetime) -> AccessClaims | MachineClaims:
        whole = token_bytes(token)
        keys, accepted = self._keyring.public_keys(now), self._audiences.accepted
        if keys is not self._keys or accepted is not self._accepted:
            self._verified.clear()
            self._keys, self._accepted = keys, accepted
        name = digest(whole)
        known = self._verified.get(name)
        if known is None:
            payload = verify_compact(whole, keys, typ=ACCESS_TOKEN_TYPE)
            known = _Verified(*read_claims(payload, issuer=self._issuer, audiences=accepted))
            known.window.require(now)
            self._remember(name, known)
        else:
            known.window.require(now)
            self._verified.move_to_end(name)
        return known.claims

    def _remember(self, name: bytes, verified: _Verified) -> None:
        self._verified[name] = verified
        if len(self._verified) > self._capacity:
            self._verified.popitem(last=False)
