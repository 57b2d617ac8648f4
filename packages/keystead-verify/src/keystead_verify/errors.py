"""What a verifier refuses, and how that is said over HTTP (RFC 6750, RFC 9457, RFC 9470)."""

import json
from enum import StrEnum

REALM = "api"


class Reason(StrEnum):
    """Why a token was rejected: for your logs, never for whoever sent it."""

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
    INACTIVE = "inactive"  # what introspection says of it
    BROKEN_CHECK = "broken_check"  # it could not be carried out, so it has failed


class NotAllowed(Exception):
    """The base of all of them. `status` is HTTP's, `error` RFC 6750's code; the text may be shown."""

    status = 401
    error: str | None = "invalid_token"
    code = "invalid_token"

    def parameters(self) -> dict[str, str]:
        """What else belongs into WWW-Authenticate."""
        return {}

    @property
    def challenge(self) -> dict[str, str]:
        """The header that says what to do about it."""
        parameters = {"realm": REALM}
        if self.error is not None:
            parameters |= {"error": self.error, "error_description": str(self)}
        parameters |= self.parameters()
        listed = ", ".join(f'{name}="{value}"' for name, value in parameters.items())
        return {"WWW-Authenticate": f"Bearer {listed}"}

    @property
    def headers(self) -> dict[str, str]:
        """All that go with `body`."""
        return {**self.challenge, "Content-Type": "application/problem+json", "Cache-Control": "no-store"}

    @property
    def body(self) -> bytes:
        problem = {"type": "about:blank", "title": str(self), "status": self.status, "code": self.code}
        return json.dumps(problem).encode()


class TokenMissing(NotAllowed):
    """No credential came: RFC 6750 §3.1 then names no error."""

    error = None
    code = "token_missing"

    def __init__(self) -> None:
        super().__init__("Send an access token: Authorization: Bearer …")


class InvalidToken(NotAllowed):
    """One answer to every token that does not hold; `reason` is for logs only."""

    def __init__(self, reason: Reason) -> None:
        super().__init__("The access token is expired, revoked or not valid here.")
        self.reason = reason


class InsufficientScope(NotAllowed):
    """The token holds, and does not permit this."""

    status = 403
    error = code = "insufficient_scope"

    def __init__(self, scope: str = "") -> None:
        super().__init__("The access token does not permit this.")
        self.scope = scope

    def parameters(self) -> dict[str, str]:
        return {"scope": self.scope} if self.scope else {}


class StepUpRequired(NotAllowed):
    """The person must prove once more who they are (RFC 9470): their proof is older than `max_age` seconds."""

    error = code = "insufficient_user_authentication"

    def __init__(self, max_age: int) -> None:
        super().__init__("This needs a fresh proof of who you are.")
        self.max_age = max_age

    def parameters(self) -> dict[str, str]:
        return {"max_age": str(self.max_age)}


class IssuerUnavailable(NotAllowed):
    """Nothing to verify with: the issuer could not be reached, and what was known of it is too old."""

    status = 503
    error = None
    code = "unavailable"
    retry_after = 2  # seconds

    def __init__(self) -> None:
        super().__init__("Access tokens cannot be verified at the moment. Try again.")

    @property
    def challenge(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after)}
