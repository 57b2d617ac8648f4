"""Refusals as clients of OAuth read them (RFC 6749 §5.2): `error` and `error_description` beside our own members."""

from http import HTTPStatus
from typing import Any

from keystead.api.rest.problems import Problem, UnsupportedGrantType, problem_of, status_of
from keystead.auth.authenticate_client import InvalidClient
from keystead.auth.client_credentials import ScopeInvalid
from keystead.auth.revoke import NotRevocable
from keystead.jwt.issuer import TokenTooLarge
from keystead.kernel.caller import NotSignedIn, PermissionMissing
from keystead.kernel.errors import InvalidInput, Refusal, Unavailable

ERRORS: dict[type[Refusal], str] = {
    InvalidClient: "invalid_client",
    NotSignedIn: "invalid_token",  # RFC 6750 §3.1
    PermissionMissing: "insufficient_scope",
    ScopeInvalid: "invalid_scope",
    NotRevocable: "unsupported_token_type",
    UnsupportedGrantType: "unsupported_grant_type",
    Unavailable: "temporarily_unavailable",
}


class OAuthProblem(Problem, kw_only=True):
    """A problem that clients of OAuth can read."""

    error: str
    error_description: str


def oauth_status_of(refusal: type[Refusal]) -> HTTPStatus:
    """As everywhere, but that a bad request is what it is for want of a better word (RFC 6749 §5.2)."""
    is_bad_request = issubclass(refusal, InvalidInput | TokenTooLarge)
    return HTTPStatus.BAD_REQUEST if is_bad_request else status_of(refusal)


def oauth_problem_of(refusal: Refusal, request_id: str) -> dict[str, Any]:
    kind = type(refusal)
    status = oauth_status_of(kind)
    otherwise = "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request"
    error = next((ERRORS[each] for each in kind.__mro__ if each in ERRORS), otherwise)
    return {
        "error": error,
        "error_description": refusal.detail.get("detail", kind.message),
        **problem_of(refusal, request_id),
        "status": status.value,
    }
