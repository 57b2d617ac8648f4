"""What a route asks of a token beside that it holds, and how a refusal is said (RFC 6750, RFC 9470)."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from keystead_verify.claims import Claims
from keystead_verify.errors import (
    InsufficientScope,
    IssuerUnavailable,
    NotAllowed,
    StepUpRequired,
    TokenMissing,
)

REALM = "api"


@dataclass(frozen=True, slots=True)
class Requirement:
    """All of `scope`, any of `roles`, and a proof of who they are no older than `max_age` seconds."""

    scope: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    max_age: int | None = None

    @classmethod
    def of(
        cls, scope: str | Iterable[str] = (), roles: str | Iterable[str] = (), max_age: int | None = None
    ) -> "Requirement":
        """Texts are words with spaces between."""
        return cls(_words(scope), _words(roles), max_age)

    def check(self, claims: Claims, *, now: float) -> Claims:
        """`now` in Unix seconds. Raises InsufficientScope, StepUpRequired."""
        if not self.scope <= claims.scopes:
            raise InsufficientScope(" ".join(sorted(self.scope)))
        if self.roles and self.roles.isdisjoint(claims.roles):
            raise InsufficientScope
        if self.max_age is not None:
            proven = claims.auth_time
            if proven is None or now - proven > self.max_age:
                raise StepUpRequired(self.max_age)
        return claims


def bearer_token(authorization: str | None) -> str:
    """The token of `Authorization: Bearer` (RFC 6750 §2.1). Raises TokenMissing."""
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise TokenMissing
    return token


def headers_of(refusal: NotAllowed) -> dict[str, str]:
    """WWW-Authenticate, or Retry-After where the issuer is away."""
    if isinstance(refusal, IssuerUnavailable):
        return {"Retry-After": "2"}
    parameters = {"realm": REALM}
    if refusal.error is not None:
        parameters |= {"error": refusal.error, "error_description": str(refusal)}
    parameters |= refusal.parameters()
    return {
        "WWW-Authenticate": "Bearer " + ", ".join(f'{name}="{value}"' for name, value in parameters.items())
    }


def problem_of(refusal: NotAllowed) -> dict[str, object]:
    """The body, as a problem (RFC 9457)."""
    code = refusal.error or ("unavailable" if refusal.status == 503 else "token_missing")
    return {"type": "about:blank", "title": str(refusal), "status": refusal.status, "code": code}


def problem_bytes(refusal: NotAllowed) -> bytes:
    return json.dumps(problem_of(refusal)).encode()


def _words(given: str | Iterable[str]) -> frozenset[str]:
    return frozenset(given.split() if isinstance(given, str) else given)
