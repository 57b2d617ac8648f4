"""The one way to read an access token: signature and claims in one call."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog

from keystead.jwt.claims import Window, read_claims
from keystead.jwt.jws import Reason, TokenRejected, token_bytes, verify_compact
from keystead.jwt.keyring import Keyring
from keystead.jwt.types import ACCESS_TOKEN_TYPE, AccessClaims, PublicKey
from keystead.kernel.secrets import digest

log = structlog.get_logger("jwt")


@dataclass(frozen=True, slots=True)
class _Verified:
    claims: AccessClaims
    window: Window


class TokenVerifier:
    """Verifies access tokens of one issuer for its audiences.

    Tokens that were verified are remembered, by the digest of their whole text, until the keys change. That
    saves the signature only: expiry is judged on every call, and the database says whether the session lives.
    """

    def __init__(
        self, keyring: Keyring, *, issuer: str, audiences: frozenset[str], capacity: int = 10_000
    ) -> None:
        self._keyring = keyring
        self._issuer = issuer
        self._audiences = audiences
        self._capacity = capacity
        self._keys: Mapping[str, PublicKey] = {}
        self._verified: OrderedDict[bytes, _Verified] = OrderedDict()

    async def verify(self, token: str | bytes, *, now: datetime) -> AccessClaims:
        """What `token` claims. Raises TokenRejected, whatever is wrong with it and whatever breaks meanwhile.

        A key that is unknown here may be a moment old: the keys are then read again, at most once in two
        seconds however many such tokens come.
        """
        try:
            return self.check(token, now=now)
        except TokenRejected as rejected:
            if rejected.reason is not Reason.UNKNOWN_KEY or not await self._keyring.look_again():
                raise
        return self.check(token, now=now)

    def check(self, token: str | bytes, *, now: datetime) -> AccessClaims:
        """`verify` with the keys that are known now."""
        try:
            return self._check(token, now)
        except TokenRejected:
            raise
        except Exception as error:
            # A check that breaks must refuse: never pass, never take the request down.
            log.exception("token.check_broke")
            raise TokenRejected(Reason.BROKEN_CHECK) from error

    def _check(self, token: str | bytes, now: datetime) -> AccessClaims:
        whole = token_bytes(token)
        keys = self._keyring.public_keys(now)
        if keys is not self._keys:
            self._verified.clear()
            self._keys = keys
        name = digest(whole)
        known = self._verified.get(name)
        if known is None:
            payload = verify_compact(whole, keys, typ=ACCESS_TOKEN_TYPE)
            known = _Verified(*read_claims(payload, issuer=self._issuer, audiences=self._audiences))
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
