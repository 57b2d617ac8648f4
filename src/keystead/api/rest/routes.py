"""How a route is declared, and what a handler gets and gives."""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol

import msgspec
from starlette.requests import Request

from keystead.api.rest.problems import (
    CredentialInUrl,
    InternalError,
    MalformedRequest,
    PayloadTooLarge,
    RequestTimeout,
    SeveralCredentials,
    UnsupportedMediaType,
    status_of,
)
from keystead.auth.identify import Identity
from keystead.core import Core
from keystead.kernel.caller import Access, NotSignedIn, Permission, PermissionMissing, Requirement
from keystead.kernel.errors import InvalidInput, Refusal, Unavailable
from keystead.settings import Settings

AUTH_BODY_BYTES = 16384
MERGE_PATCH = "application/merge-patch+json"  # RFC 7396


@dataclass(frozen=True, slots=True)
class Documents:
    """What is generated from the declared routes."""

    openapi: bytes
    index: str


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
    body: Any = None
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


@dataclass(frozen=True, slots=True)
class Reply:
    """What a handler answers: a Struct (sent as JSON), text of its own media type, or nothing."""

    status: HTTPStatus = HTTPStatus.OK
    body: Any = None
    media_type: str = "application/json"
    cache_control: str = "no-store"
    headers: dict[str, str] = field(default_factory=dict)


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
    refuses: tuple[type[Refusal], ...] = ()
    body: type[msgspec.Struct] | None = None
    body_is_optional: bool = False
    max_body_bytes: int | None = None

    @property
    def needs_identity(self) -> bool:
        return self.requires == Access.SIGNED_IN or isinstance(self.requires, Permission)

    @property
    def media_types(self) -> tuple[str, ...]:
        return ("application/json", MERGE_PATCH) if self.method == "PATCH" else ("application/json",)

    def refusals(self) -> Iterator[type[Refusal]]:
        """Every refusal that this route may answer with, by status and code."""
        found: set[type[Refusal]] = {*self.refuses, CredentialInUrl, MalformedRequest, InternalError}
        if self.needs_identity:
            found |= {NotSignedIn, SeveralCredentials, Unavailable}
        if isinstance(self.requires, Permission):
            found.add(PermissionMissing)
        if self.body is not None:
            found |= {InvalidInput, PayloadTooLarge, UnsupportedMediaType, RequestTimeout, Unavailable}
        return iter(sorted(found, key=lambda kind: (status_of(kind), kind.code)))
