"""Routes of `/api/v1/applications`."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from keystead.api.rest.bodies import ClientId
from keystead.api.rest.routes import AUTH_BODY_BYTES, Answer, Call, Reply, Route
from keystead.applications.define import (
    AddApplication,
    ChangeApplication,
    DeleteApplication,
    ListApplications,
    ShowApplication,
)
from keystead.applications.types import ApplicationRecord

Url = Annotated[str, Meta(max_length=2048)]
Urls = Annotated[tuple[Url, ...], Meta(max_length=50)]
Claim = Annotated[str, Meta(max_length=256)]


class LinksBody(msgspec.Struct, kw_only=True):
    """Templates with `{token}`."""

    verify_url: str
    reset_url: str
    change_email_url: str
    invitation_url: str
    unlock_url: str


class ClaimsBody(msgspec.Struct, kw_only=True):
    """As in the settings: how roles are shown, which claims come from `app_metadata`, which the hook may add."""

    roles: dict[str, str]
    metadata: dict[str, str]
    from_hook: tuple[str, ...]


class ApplicationBody(msgspec.Struct, kw_only=True):
    """With its defaults filled in. What stands in the configuration has no times and cannot be changed here."""

    client_id: str
    name: str
    audience: str
    mode: Literal["token", "cookie"]
    allowed_origins: tuple[str, ...]
    redirect_urls: tuple[str, ...]
    links: LinksBody
    access_token_ttl_secs: int
    session_idle_days: float
    session_absolute_days: float
    refresh_reuse_window_secs: int
    claims: ClaimsBody
    source: str
    is_default: bool
    created_at: datetime | None
    updated_at: datetime | None

    @classmethod
    def of(cls, record: ApplicationRecord) -> "ApplicationBody":
        application, lifetimes = record.application, record.application.lifetimes
        claims = application.claims
        return cls(
            client_id=application.client_id,
            name=application.name,
            audience=application.audience,
            mode="cookie" if application.uses_cookies else "token",
            allowed_origins=tuple(sorted(application.origins)),
            redirect_urls=application.redirect_urls,
            links=LinksBody(**{f"{to.value}_url": url for to, url in application.links.items()}),
            access_token_ttl_secs=int(lifetimes.access_token.total_seconds()),
            session_idle_days=lifetimes.idle.total_seconds() / 86400,
            session_absolute_days=lifetimes.absolute.total_seconds() / 86400,
            refresh_reuse_window_secs=int(lifetimes.reuse_window.total_seconds()),
            claims=ClaimsBody(
                roles=dict(claims.roles),
                metadata={claim: ".".join(path) for claim, path in claims.metadata.items()},
                from_hook=tuple(sorted(claims.from_hook)),
            ),
            source=record.source.value,
            is_default=record.is_default,
            created_at=record.created_at,
            updated_at=record.updated_at,
        )


class ApplicationListBody(msgspec.Struct, kw_only=True):
    items: list[ApplicationBody]
    next_cursor: str | None = None


class LinksChangeBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Templates with `{token}`; null is our own page again."""

    verify_url: Url | UnsetType | None = UNSET
    reset_url: Url | UnsetType | None = UNSET
    change_email_url: Url | UnsetType | None = UNSET
    invitation_url: Url | UnsetType | None = UNSET
    unlock_url: Url | UnsetType | None = UNSET


class ClaimsChangeBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A role or a claim that is null is mapped no more."""

    roles: Annotated[dict[Claim, Claim | None], Meta(max_length=100)] | UnsetType | None = UNSET
    metadata: Annotated[dict[Claim, Claim | None], Meta(max_length=100)] | UnsetType | None = UNSET
    from_hook: Annotated[tuple[Claim, ...], Meta(max_length=20)] | UnsetType | None = UNSET


class ApplicationChangeBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A merge patch (RFC 7396): a field that is absent stays, null is the default again, and what is within `links` and
    `claims` alike."""

    name: Annotated[str, Meta(max_length=60)] | UnsetType | None = UNSET
    audience: Annotated[str, Meta(max_length=256)] | UnsetType | None = UNSET
    mode: Literal["token", "cookie"] | UnsetType | None = UNSET
    allowed_origins: Urls | UnsetType | None = UNSET
    redirect_urls: Urls | UnsetType | None = UNSET
    links: LinksChangeBody | UnsetType | None = UNSET
    access_token_ttl_secs: int | UnsetType | None = UNSET
    session_idle_days: float | UnsetType | None = UNSET
    session_absolute_days: float | UnsetType | None = UNSET
    refresh_reuse_window_secs: int | UnsetType | None = UNSET
    claims: ClaimsChangeBody | UnsetType | None = UNSET


class NewApplicationBody(ApplicationChangeBody, kw_only=True, forbid_unknown_fields=True):
    client_id: ClientId


async def list_applications(call: Call) -> Reply:
    found = await call.core.applications.list(call.identity.caller)
    return Reply(body=ApplicationListBody(items=[ApplicationBody.of(record) for record in found]))


async def show(call: Call) -> Reply:
    record = await call.core.applications.show(call.identity.caller, _client_id(call))
    return Reply(body=ApplicationBody.of(record))


async def add(call: Call) -> Reply:
    body: NewApplicationBody = call.body
    record = await call.core.applications.add(
        call.identity.caller, body.client_id, _patch(body), once=call.once()
    )
    headers = {"location": f"/api/v1/applications/{body.client_id}"}
    return Reply(HTTPStatus.CREATED, ApplicationBody.of(record), headers=headers)


async def change(call: Call) -> Reply:
    record = await call.core.applications.change(call.identity.caller, _client_id(call), _patch(call.body))
    return Reply(body=ApplicationBody.of(record))


async def delete(call: Call) -> Reply:
    await call.core.applications.delete(call.identity.caller, _client_id(call))
    return Reply(HTTPStatus.NO_CONTENT)


def _client_id(call: Call) -> str:
    client_id: str = call.request.path_params["client_id"]
    return client_id


def _patch(body: ApplicationChangeBody) -> dict[str, Any]:
    """Of a definition, whose links are named without `_url`."""
    patch: dict[str, Any] = msgspec.to_builtins(body)
    patch.pop("client_id", None)
    if patch.get("links") is not None:
        patch["links"] = {name.removesuffix("_url"): url for name, url in patch["links"].items()}
    return patch


_ONE = "/api/v1/applications/{client_id}"

ROUTES = (
    Route(
        method="GET",
        path="/api/v1/applications",
        handler=list_applications,
        summary="Applications: those of the configuration and those that were made here",
        answers=(Answer(HTTPStatus.OK, ApplicationListBody, "All of them, by client_id."),),
        requires=ListApplications.requires,
    ),
    Route(
        method="POST",
        path="/api/v1/applications",
        handler=add,
        summary="Make an application",
        body=NewApplicationBody,
        max_body_bytes=AUTH_BODY_BYTES,
        takes_key=True,
        answers=(Answer(HTTPStatus.CREATED, ApplicationBody, "The application."),),
        requires=AddApplication.requires,
        is_sensitive=AddApplication.is_sensitive,
        refuses=AddApplication.refuses,
    ),
    Route(
        method="GET",
        path=_ONE,
        handler=show,
        summary="One application",
        answers=(Answer(HTTPStatus.OK, ApplicationBody, "The application."),),
        requires=ShowApplication.requires,
        refuses=ShowApplication.refuses,
    ),
    Route(
        method="PATCH",
        path=_ONE,
        handler=change,
        summary="Change an application",
        body=ApplicationChangeBody,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(Answer(HTTPStatus.OK, ApplicationBody, "The application, changed."),),
        requires=ChangeApplication.requires,
        is_sensitive=ChangeApplication.is_sensitive,
        refuses=ChangeApplication.refuses,
    ),
    Route(
        method="DELETE",
        path=_ONE,
        handler=delete,
        summary="Delete an application: its sessions end, and its client_id is never given again",
        answers=(Answer(HTTPStatus.NO_CONTENT, description="It is gone."),),
        requires=DeleteApplication.requires,
        is_sensitive=DeleteApplication.is_sensitive,
        refuses=DeleteApplication.refuses,
    ),
)
