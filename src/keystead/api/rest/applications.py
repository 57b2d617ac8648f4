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
from keystead.applications.definition import ClaimsDefinition, Definition
from keystead.applications.types import ApplicationRecord
from keystead.kernel.application import LinkTo

Url = Annotated[str, Meta(max_length=2048)]
Urls = Annotated[tuple[Url, ...], Meta(max_length=50)]
Claim = Annotated[str, Meta(max_length=256)]


class LinksBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Templates with `{token}`; null: our own page."""

    verify_url: Url | None = None
    reset_url: Url | None = None
    change_email_url: Url | None = None
    invitation_url: Url | None = None
    unlock_url: Url | None = None


class ClaimsBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """As in the settings: how roles are shown, which claims come from `app_metadata`, which the hook may add."""

    roles: Annotated[dict[Claim, Claim], Meta(max_length=100)] = {}
    metadata: Annotated[dict[Claim, Claim], Meta(max_length=20)] = {}
    from_hook: Annotated[tuple[Claim, ...], Meta(max_length=20)] = ()


class ApplicationBody(msgspec.Struct, kw_only=True):
    """With its defaults filled in. What stands in the configuration has no times and cannot be changed here."""

    client_id: str
    name: str
    audience: str
    mode: Literal["token", "cookie"]
    allowed_origins: tuple[str, ...]
    redirect_urls: tuple[str, ...]
    links: dict[str, str]
    access_token_ttl_secs: int
    session_idle_days: float
    session_absolute_days: float
    refresh_reuse_window_secs: int
    claims: ClaimsBody
    source: str
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
            links={f"{to.value}_url": url for to, url in application.links.items()},
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
            created_at=record.created_at,
            updated_at=record.updated_at,
        )


class ApplicationListBody(msgspec.Struct, kw_only=True):
    items: list[ApplicationBody]
    next_cursor: str | None = None


class ApplicationChangeBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A field that is absent stays; null is the default again."""

    name: Annotated[str, Meta(max_length=60)] | UnsetType | None = UNSET
    audience: Annotated[str, Meta(max_length=256)] | UnsetType | None = UNSET
    mode: Literal["token", "cookie"] | UnsetType | None = UNSET
    allowed_origins: Urls | UnsetType | None = UNSET
    redirect_urls: Urls | UnsetType | None = UNSET
    links: LinksBody | UnsetType | None = UNSET
    access_token_ttl_secs: int | UnsetType | None = UNSET
    session_idle_days: float | UnsetType | None = UNSET
    session_absolute_days: float | UnsetType | None = UNSET
    refresh_reuse_window_secs: int | UnsetType | None = UNSET
    claims: ClaimsBody | UnsetType | None = UNSET


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
        call.identity.caller, body.client_id, Definition(**_changes(body)), once=call.once()
    )
    headers = {"location": f"/api/v1/applications/{body.client_id}"}
    return Reply(HTTPStatus.CREATED, ApplicationBody.of(record), headers=headers)


async def change(call: Call) -> Reply:
    changes = _changes(call.body)
    record = await call.core.applications.change(call.identity.caller, _client_id(call), changes)
    return Reply(body=ApplicationBody.of(record))


async def delete(call: Call) -> Reply:
    await call.core.applications.delete(call.identity.caller, _client_id(call))
    return Reply(HTTPStatus.NO_CONTENT)


def _client_id(call: Call) -> str:
    client_id: str = call.request.path_params["client_id"]
    return client_id


def _changes(body: ApplicationChangeBody) -> dict[str, Any]:
    """The members of a definition that the body names."""
    plain = Definition()
    named: dict[str, Any] = {}
    for name in ApplicationChangeBody.__struct_fields__:
        value = getattr(body, name)
        if value is UNSET:
            continue
        if value is None:
            value = getattr(plain, name)
        elif isinstance(value, LinksBody):
            urls = {to: getattr(value, f"{to.value}_url") for to in LinkTo}
            value = {to: url for to, url in urls.items() if url is not None}
        elif isinstance(value, ClaimsBody):
            value = ClaimsDefinition(value.roles, value.metadata, value.from_hook)
        named[name] = value
    return named


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
