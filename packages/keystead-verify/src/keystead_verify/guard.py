"""What a route asks for: the same words in every framework."""

import logging
from collections.abc import Iterable
from typing import TypedDict, Unpack

from keystead_verify.claims import Claims
from keystead_verify.errors import InsufficientScope, InvalidToken, StepUpRequired, TokenMissing
from keystead_verify.verifier import Verifier

log = logging.getLogger("keystead_verify")


class Asked(TypedDict, total=False):
    """All of `scope`, any of `roles`, and a proof of who they are no older than `max_age` seconds.

    Texts are words with spaces between.
    """

    scope: str | Iterable[str]
    roles: str | Iterable[str]
    max_age: int | None


class Guard:
    """Lets in whoever sends a token that holds and meets what is asked. For a framework that has no module here:

    `claims = guard.check(headers.get("Authorization"))`; to a NotAllowed answer with its `status`, `headers` and
    `body`.
    """

    def __init__(self, verifier: Verifier, **asked: Unpack[Asked]) -> None:
        self._verifier = verifier
        self._scope = _words(asked.get("scope", ()))
        self._roles = _words(asked.get("roles", ()))
        self._max_age = asked.get("max_age")

    def check(self, authorization: str | None) -> Claims:
        """Raises NotAllowed."""
        try:
            return self.permit(self._verifier.verify(bearer_token(authorization)))
        except InvalidToken as refusal:
            log.info("a token was refused: %s", refusal.reason)
            raise

    async def acheck(self, authorization: str | None) -> Claims:
        """`check`, for an event loop."""
        try:
            return self.permit(await self._verifier.averify(bearer_token(authorization)))
        except InvalidToken as refusal:
            log.info("a token was refused: %s", refusal.reason)
            raise

    def permit(self, claims: Claims) -> Claims:
        """Raises InsufficientScope, StepUpRequired."""
        if not self._scope <= claims.scopes:
            raise InsufficientScope(" ".join(sorted(self._scope)))
        if self._roles and self._roles.isdisjoint(claims.roles):
            raise InsufficientScope
        if self._max_age is not None:
            proven = claims.auth_time
            if proven is None or self._verifier.now() - proven > self._max_age:
                raise StepUpRequired(self._max_age)
        return claims


def bearer_token(authorization: str | None) -> str:
    """The token of `Authorization: Bearer` (RFC 6750 §2.1). Raises TokenMissing."""
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise TokenMissing
    return token


def _words(given: str | Iterable[str]) -> frozenset[str]:
    return frozenset(given.split() if isinstance(given, str) else given)
