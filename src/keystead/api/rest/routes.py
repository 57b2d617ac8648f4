"""How a route is declared, and what a handler gets and gives."""

import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol
from uuid import UUID

import msgspec
from starlette.requests import Request

from keystead.api.rest.cookies import CookieRules, RefreshCookie, require_csrf
from keystead.api.rest.problems import (
    CredentialInUrl,
    IfMatchInvalid,
    InternalError,
    MalformedRequest,
    PayloadTooLarge,
    RequestTimeout,
    RouteNotFound,
    SeveralCredentials,
    UnsupportedMediaType,
    status_of,
)
from keystead.auth.identity import Identity
from keystead.core import Core
from keystead.kernel.caller import (
    Access,
    AnyOf,
    NotSignedIn,
    Origin,
    OwnerOr,
    OwnScope,
    Permission,
    PermissionMissing,
    Requirement,
    SessionRequired,
)
from keystead.kernel.errors import FieldError, InvalidInput, Refusal, Unavailable
from keystead.kernel.ids import SessionId, UserId
from keystead.limits.lists.types import AddressDenied
from keystead.limits.types import RateLimited, RouteClass
from keystead.sessions.types import SessionNotFound
from keystead.settings import Settings
from keystead.tickets.types import Once
from keystead.users.types import UserNotFound

AUTH_BODY_BYTES = 16384
PROFILE_BODY_BYTES = 65536
PERMIT = "keystead.permit"  # of the request, in the ASGI scope
ADDRESS = "keystead.address"  # of the client, in the ASGI scope
MERGE_PATCH = "application/merge-patch+json"  # RFC 7396
FORM = "application/x-www-form-urlencoded"
MAX_USER_AGENT = 512
MAX_KEY_LENGTH = 255
_ETAG = re.compile(r'(?:W/)?"?(\d{1,9})"?', re.ASCII)  # also without its quotes, as some programs send it


@dataclass(frozen=True, slots=True)
class Documents:
    """What is generated from the declared routes."""

    openapi: bytes
    index: bytes


class Drain(Protocol):
    """Whether this process is on its way out."""

    @property
    def is_draining(self) -> bool: ...


@dataclass(slots=True)
class Call:
    """One request, on its way to a handler. `identity` is there on every route that requires a signed-in caller."""

    request: Request
    core: Core
    settings: Settings
    drain: Drain
    documents: Documents
    cookies: CookieRules
    route: "Route"
    body: Any = None
    query: Any = None
    raw_body: bytes = b""
    identified: Identity | None = None

    @property
    def identity(self) -> Identity:
        if self.identified is None:
            raise NotSignedIn
        return self.identified

    def bearer_token(self) -> str | None:
        """The token of `Authorization: Bearer` (RFC 6750 §2.1). Raises SeveralCredentials for two such headers."""
        values = self.request.headers.getlist("authorization")
        if len(values) > 1:
            raise SeveralCredentials
        scheme, _, token = values[0].partition(" ") if values else ("", "", "")
        return token.strip() if scheme.lower() == "bearer" else None

    @property
    def origin(self) -> Origin:
        """Where the request comes from."""
        user_agent = self.request.headers.get("user-agent", "")
        return Origin(self.request.scope[ADDRESS], user_agent[:MAX_USER_AGENT])

    def require_csrf(self, cookie: RefreshCookie) -> None:
        """Raises CsrfRefused unless the CSRF token of the cookie's session came along."""
        require_csrf(self.core.auth.csrf, cookie, self.request.headers)

    def user_id(self, name: str = "user_id") -> UserId:
        """The id in the path. Raises UserNotFound for what is none: nobody has it."""
        return UserId(_canonical_uuid(self.request.path_params[name], UserNotFound))

    def session_id(self, name: str = "session_id") -> SessionId:
        """The id in the path. Raises SessionNotFound for what is none."""
        return SessionId(_canonical_uuid(self.request.path_params[name], SessionNotFound))

    def uuid(self, name: str, refusal: type[Refusal]) -> UUID:
        """The id in the path. Raises `refusal` for what is none."""
        return _canonical_uuid(self.request.path_params[name], refusal)

    def expected_version(self) -> int | None:
        """What `If-Match` names, if it is there (RFC 9110 §13.1.1). Raises IfMatchInvalid."""
        given = ", ".join(self.request.headers.getlist("if-match"))
        if given.strip() == "*" or "if-match" not in self.request.headers:
            return None
        match = _ETAG.fullmatch(given.strip())
        if match is None:
            raise IfMatchInvalid
        return int(match[1])

    def once(self) -> Once | None:
        """The request's name, if it has one (Idempotency-Key). Raises InvalidInput."""
        key = self.request.headers.get("idempotency-key")
        if key is None:
            return None
        if not (0 < len(key) <= MAX_KEY_LENGTH and key.isascii() and key.isprintable()):
            message = f"Use 1 to {MAX_KEY_LENGTH} printable ASCII characters in Idempotency-Key."
            raise InvalidInput(FieldError("", "idempotency_key_invalid", message))
        route = f"{self.route.method} {self.route.path}"
        return Once(self.identity.caller.user_id, route, key, self.raw_body)


def _canonical_uuid(text: str, refusal: type[Refusal]) -> UUID:
    try:
        value = UUID(text)
    except ValueError:
        raise refusal from None
    if str(value) != text:  # another spelling of an id is the id of nothing
        raise refusal
    return value


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handler answers: a Struct (sent as JSON), text or bytes of its own media type, or nothing."""

    status: HTTPStatus = HTTPStatus.OK
    body: Any = None
    media_type: str = "application/json"
    cache_control: str = "no-store"
    headers: dict[str, str] = field(default_factory=dict)
    also_cookie: str | None = None  # beside the one in `headers`


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is no problem, as documented."""

    status: HTTPStatus
    body: Any = None
    description: str = ""
    media_type: str = "application/json"


Handler = Callable[[Call], Awaitable[Reply]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route. Its permission and its refusals are those of its verb; nothing is reachable that is not declared."""

    method: str
    path: str
    handler: Handler
    summary: str
    answers: tuple[Answer, ...]
    requires: Requirement
    limited_as: RouteClass | None = None  # by its method, where nothing is said
    require_room: Callable[[Call], None] | None = None  # asked before a request costs anything
    refuses: tuple[type[Refusal], ...] = ()
    told_in_pages: tuple[type[Refusal], ...] = ()  # those of its refusals that a page tells, and no problem
    is_sensitive: bool = False
    takes_key: bool = False
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    text_body: Any = None  # the type of a bare JSON string that is taken instead of `body`
    body_is_form: bool = False
    body_is_optional: bool = False
    speaks_oauth: bool = False  # refusals as RFC 6749 §5.2 has them, beside our own members
    max_body_bytes: int | None = None

    @property
    def is_health(self) -> bool:
        """Asked by whoever watches over the service, and told to everybody, wherever they ask from."""
        return self.path.startswith("/health")

    @property
    def limit_class(self) -> RouteClass:
        return self.limited_as or (RouteClass.READ if self.method == "GET" else RouteClass.WRITE)

    @property
    def needs_identity(self) -> bool:
        return self.requires in (Access.SIGNED_IN, Access.BEARER) or isinstance(
            self.requires, OwnScope | Permission | OwnerOr | AnyOf
        )

    @property
    def media_types(self) -> tuple[str, ...]:
        if self.body_is_form:
            return (FORM,)
        return ("application/json", MERGE_PATCH) if self.method == "PATCH" else ("application/json",)

    def refusals(self) -> Iterator[type[Refusal]]:
        """Every refusal that this route may answer with, by status and code."""
        found: set[type[Refusal]] = {*self.refuses, CredentialInUrl, MalformedRequest, InternalError}
        if self.needs_identity:
            found |= {NotSignedIn, SeveralCredentials, Unavailable}
        if self.requires == Access.SIGNED_IN or isinstance(self.requires, OwnScope):
            found.add(SessionRequired)
        if isinstance(self.requires, OwnScope | Permission | AnyOf):
            found.add(PermissionMissing)
        if not self.is_health:
            found.add(AddressDenied)
        if self.limit_class is not RouteClass.FREE:
            found.add(RateLimited)
        if "{" in self.path:  # a name that no path of ours can hold
            found.add(RouteNotFound)
        if self.query is not None or self.takes_key:
            found.add(InvalidInput)
        if self.body is not None:
            found |= {InvalidInput, PayloadTooLarge, UnsupportedMediaType, RequestTimeout, Unavailable}
        return iter(sorted(found, key=lambda kind: (status_of(kind), kind.code)))
