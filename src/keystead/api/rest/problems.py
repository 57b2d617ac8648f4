"""Problems (RFC 9457): every refusal as an `application/problem+json` answer."""

from datetime import datetime
from http import HTTPStatus
from typing import Any, Literal

import msgspec

from keystead.accounts.set_status import StatusMismatch
from keystead.accounts.verify_user import SeveralAttempts
from keystead.applications.types import (
    ApplicationConfigured,
    ApplicationNotFound,
    ApplicationTaken,
    TooManyApplications,
)
from keystead.auth.authenticate_client import InvalidClient
from keystead.auth.client_credentials import ScopeInvalid
from keystead.auth.refusals import EmailUnverified, LoginRefused, RefreshRefused, RefreshTooOften
from keystead.auth.revoke import NotRevocable
from keystead.hooks.types import HookRefused, HookUnavailable
from keystead.jwt.issuer import TokenTooLarge
from keystead.jwt.jws import TokenRejected
from keystead.jwt.rotation import UnknownSigningKey
from keystead.kernel.caller import NotSignedIn, PermissionMissing, ReauthenticationRequired, SessionRequired
from keystead.kernel.errors import InvalidInput, Overloaded, Refusal, Unavailable
from keystead.limits.challenge.types import ChallengeFailed, ChallengeRequired, ChallengeUnavailable
from keystead.limits.guesses import TooManyAttempts
from keystead.limits.lists.types import (
    AddressDenied,
    NetworkConfigured,
    NetworkNotFound,
    OwnNetwork,
    TooManyNetworks,
)
from keystead.limits.types import RateLimited
from keystead.machines.types import KeyNotFound, ServiceAccountNotFound, ServiceAccountTaken, TooManyKeys
from keystead.roles.types import LastAdministrator, RoleBuiltIn, RoleNotFound, RoleTaken
from keystead.sessions.types import SessionNotFound
from keystead.tickets.types import KeyReused, TicketRefused
from keystead.users.known_passwords.breach_service import PasswordsUnchecked
from keystead.users.types import EmailTaken, IdTaken, UserNotFound, VersionMismatch

MEDIA_TYPE = "application/problem+json"


class MalformedRequest(Refusal):
    code = "malformed_request"
    message = "The request cannot be read."


class SeveralCredentials(Refusal):
    code = "several_credentials"
    message = "Send one credential: in the header or in the body."


class OriginRefused(Refusal):
    """A page of another origin than the application's sent a cookie, or asked for one."""

    code = "origin_refused"
    message = "Pages of this origin may not use this application's cookies."


class CsrfRefused(Refusal):
    """Every call that a cookie authenticates carries the token of GET /api/v1/auth/csrf in X-CSRF-Token."""

    code = "csrf_refused"
    message = "The CSRF token is missing or of another session. Fetch a new one."


class RefreshTokenRequired(Refusal):
    """An access token must not become something that lives longer."""

    code = "refresh_token_required"
    message = "Send the current refresh token of this session as bearer."


class IfMatchInvalid(Refusal):
    code = "if_match_invalid"
    message = 'If-Match must be the ETag of an earlier answer, such as "7".'


class CredentialInUrl(Refusal):
    code = "credential_in_url"
    message = "A URL is logged and remembered in many places: send credentials in a header or in the body."


class PreflightRefused(Refusal):
    code = "preflight_refused"
    message = "Pages of this origin may not send this method with these headers."


class RouteNotFound(Refusal):
    code = "not_found"
    message = "There is nothing at this path."


class MethodNotAllowed(Refusal):
    code = "method_not_allowed"
    message = "This path does not take this method."


class RequestTimeout(Refusal):
    code = "request_timeout"
    message = "The request took too long."


class HeadTimeout(RequestTimeout):
    code = "head_timeout"
    message = "The request's headers took too long to come."


class HeadTooLarge(Refusal):
    code = "head_too_large"
    message = "The request's headers are larger than any that makes sense here."


class PayloadTooLarge(Refusal):
    code = "payload_too_large"
    message = "The body is larger than this route takes."


class UnsupportedMediaType(Refusal):
    code = "unsupported_media_type"
    message = (
        "Send the body in the media type that this route takes (JSON, for most), in UTF-8 and not encoded."
    )


class UnsupportedGrantType(Refusal):
    code = "unsupported_grant_type"
    message = "The token endpoint takes the grant client_credentials only."


class InternalError(Refusal):
    code = "internal_error"
    message = "Something went wrong here. It was logged under the request id."


STATUS: dict[type[Refusal], HTTPStatus] = {
    MalformedRequest: HTTPStatus.BAD_REQUEST,
    SeveralCredentials: HTTPStatus.BAD_REQUEST,
    CredentialInUrl: HTTPStatus.BAD_REQUEST,
    NotRevocable: HTTPStatus.BAD_REQUEST,
    ScopeInvalid: HTTPStatus.BAD_REQUEST,
    UnsupportedGrantType: HTTPStatus.BAD_REQUEST,
    IfMatchInvalid: HTTPStatus.BAD_REQUEST,
    InvalidClient: HTTPStatus.UNAUTHORIZED,
    LoginRefused: HTTPStatus.UNAUTHORIZED,
    NotSignedIn: HTTPStatus.UNAUTHORIZED,
    RefreshRefused: HTTPStatus.UNAUTHORIZED,
    TicketRefused: HTTPStatus.UNAUTHORIZED,
    TokenRejected: HTTPStatus.UNAUTHORIZED,
    AddressDenied: HTTPStatus.FORBIDDEN,
    ChallengeFailed: HTTPStatus.FORBIDDEN,
    ChallengeRequired: HTTPStatus.FORBIDDEN,
    CsrfRefused: HTTPStatus.FORBIDDEN,
    EmailUnverified: HTTPStatus.FORBIDDEN,
    HookRefused: HTTPStatus.FORBIDDEN,
    OriginRefused: HTTPStatus.FORBIDDEN,
    PermissionMissing: HTTPStatus.FORBIDDEN,
    PreflightRefused: HTTPStatus.FORBIDDEN,
    ReauthenticationRequired: HTTPStatus.FORBIDDEN,
    SessionRequired: HTTPStatus.FORBIDDEN,
    RefreshTokenRequired: HTTPStatus.FORBIDDEN,
    ApplicationNotFound: HTTPStatus.NOT_FOUND,
    KeyNotFound: HTTPStatus.NOT_FOUND,
    NetworkNotFound: HTTPStatus.NOT_FOUND,
    RoleNotFound: HTTPStatus.NOT_FOUND,
    ServiceAccountNotFound: HTTPStatus.NOT_FOUND,
    RouteNotFound: HTTPStatus.NOT_FOUND,
    SessionNotFound: HTTPStatus.NOT_FOUND,
    UnknownSigningKey: HTTPStatus.NOT_FOUND,
    UserNotFound: HTTPStatus.NOT_FOUND,
    MethodNotAllowed: HTTPStatus.METHOD_NOT_ALLOWED,
    RequestTimeout: HTTPStatus.REQUEST_TIMEOUT,
    HeadTimeout: HTTPStatus.REQUEST_TIMEOUT,
    HeadTooLarge: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    ApplicationConfigured: HTTPStatus.CONFLICT,
    ApplicationTaken: HTTPStatus.CONFLICT,
    EmailTaken: HTTPStatus.CONFLICT,
    ServiceAccountTaken: HTTPStatus.CONFLICT,
    TooManyApplications: HTTPStatus.CONFLICT,
    TooManyKeys: HTTPStatus.CONFLICT,
    IdTaken: HTTPStatus.CONFLICT,
    LastAdministrator: HTTPStatus.CONFLICT,
    NetworkConfigured: HTTPStatus.CONFLICT,
    OwnNetwork: HTTPStatus.CONFLICT,
    TooManyNetworks: HTTPStatus.CONFLICT,
    RoleBuiltIn: HTTPStatus.CONFLICT,
    RoleTaken: HTTPStatus.CONFLICT,
    SeveralAttempts: HTTPStatus.CONFLICT,
    StatusMismatch: HTTPStatus.CONFLICT,
    VersionMismatch: HTTPStatus.PRECONDITION_FAILED,
    PayloadTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    UnsupportedMediaType: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    InvalidInput: HTTPStatus.UNPROCESSABLE_ENTITY,
    KeyReused: HTTPStatus.UNPROCESSABLE_ENTITY,
    RefreshTooOften: HTTPStatus.TOO_MANY_REQUESTS,
    RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    TooManyAttempts: HTTPStatus.TOO_MANY_REQUESTS,
    InternalError: HTTPStatus.INTERNAL_SERVER_ERROR,
    TokenTooLarge: HTTPStatus.CONFLICT,  # of what is stored about the account with what a token can hold
    ChallengeUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    HookUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    PasswordsUnchecked: HTTPStatus.SERVICE_UNAVAILABLE,
    Overloaded: HTTPStatus.SERVICE_UNAVAILABLE,
    Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The body of every refusal. `errors` and the like stand beside these members where there is more to say."""

    type: str
    title: str
    status: int
    code: str
    request_id: str | None = None


class StrengthBody(msgspec.Struct, kw_only=True):
    """How many guesses a refused password takes, by zxcvbn's estimate: its power of ten, and a score from 0 to 4."""

    score: int
    guesses_log10: float
    warning: str
    suggestions: list[str]


class FieldProblem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One bad field of a 422, by JSON pointer (RFC 6901); of a new password with its strength."""

    pointer: str
    code: str
    message: str
    strength: StrengthBody | None = None


class FieldsProblem(Problem, kw_only=True):
    """A 422, with every bad field."""

    errors: list[FieldProblem]


class Challenge(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is to be answered: of `proof_of_work`, the four members after `kind`; of a provider, the last two."""

    kind: Literal["proof_of_work", "turnstile", "hcaptcha", "recaptcha"]
    challenge: str | None = None
    difficulty: int | None = None
    algorithm: str | None = None
    expires_at: datetime | None = None
    site_key: str | None = None
    action: str | None = None


class ChallengeProblem(Problem, kw_only=True):
    """A 403 with a challenge, whose answer goes into `X-Challenge-Response` of the request when it is sent again."""

    challenge: Challenge


def status_of(refusal: type[Refusal]) -> HTTPStatus:
    """The nearest entry of STATUS among the refusal's ancestors; a test proves that there always is one."""
    return next(STATUS[kind] for kind in refusal.__mro__ if kind in STATUS)


def problem_of(refusal: Refusal, request_id: str) -> dict[str, Any]:
    kind = type(refusal)
    return {
        "type": f"/docs/errors/{kind.code}",
        "title": kind.message,
        "status": status_of(kind).value,
        "code": kind.code,
        "request_id": request_id,
        **refusal.detail,
    }


def headers_of(refusal: Refusal, *, with_token: bool = False) -> dict[str, str]:
    """WWW-Authenticate on every 401 (RFC 9110 §11.6.1), Retry-After and Allow where they apply.

    `with_token`: a bearer token came along. Then WWW-Authenticate says what is wrong with it (RFC 6750 §3.1).
    """
    headers = {}
    match status_of(type(refusal)):
        case HTTPStatus.UNAUTHORIZED:
            scheme = "Basic" if isinstance(refusal, InvalidClient) else "Bearer"
            is_about_token = with_token and isinstance(refusal, NotSignedIn | TokenRejected)
            error = ', error="invalid_token"' if is_about_token else ""
            headers["www-authenticate"] = f'{scheme} realm="keystead"{error}'
        case HTTPStatus.FORBIDDEN if with_token and isinstance(refusal, PermissionMissing):
            scope = f', scope="{refusal.detail["permission"]}"' if "permission" in refusal.detail else ""
            headers["www-authenticate"] = f'Bearer realm="keystead", error="insufficient_scope"{scope}'
        case HTTPStatus.SERVICE_UNAVAILABLE | HTTPStatus.TOO_MANY_REQUESTS:
            headers["retry-after"] = str(refusal.detail.get("retry_after", 1))
        case HTTPStatus.METHOD_NOT_ALLOWED:
            headers["allow"] = str(refusal.detail["allow"])
        case HTTPStatus.REQUEST_TIMEOUT | HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            headers["connection"] = "close"  # what is left of the body is not worth reading
        case _:
            pass
    return headers
