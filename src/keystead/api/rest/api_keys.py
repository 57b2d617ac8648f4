"""Routes of API keys: a person's own, and an administrator's view of them."""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from keystead.accounts.api_keys import MAX_NAME_LENGTH, AddApiKey, ListApiKeys, RevokeApiKey
from keystead.api.rest.routes import AUTH_BODY_BYTES, Answer, Call, Reply, Route
from keystead.kernel.caller import Access
from keystead.kernel.ids import UserId
from keystead.machines.types import ApiKey, KeyNotFound


class ApiKeyBody(msgspec.Struct, kw_only=True):
    """`hint` is the end of the secret; `last_used_at` is exact to a minute."""

    id: UUID
    name: str
    hint: str
    client_id: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> "ApiKeyBody":
        return cls(
            id=key.id,
            name=key.name,
            hint=key.hint,
            client_id=key.client_id,
            scopes=key.scopes,
            created_at=key.created_at,
            expires_at=key.expires_at,
            last_used_at=key.last_used_at,
        )


class ApiKeyListBody(msgspec.Struct, kw_only=True):
    items: list[ApiKeyBody]
    next_cursor: str | None = None


class AddedApiKeyBody(msgspec.Struct, kw_only=True):
    """`api_key` is shown this once."""

    key: ApiKeyBody
    api_key: str


class NewApiKeyBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=1, max_length=MAX_NAME_LENGTH)]
    scopes: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(min_length=1, max_length=100)]
    ttl_days: Annotated[float, Meta(gt=0, le=400)] | None = None


async def list_own(call: Call) -> Reply:
    return await _list(call, call.identity.caller.user_id)


async def add(call: Call) -> Reply:
    body: NewApiKeyBody = call.body
    identity = call.identity
    key, secret = await call.core.machines.add_api_key(
        identity.caller,
        client_id=identity.grant.client_id,
        name=body.name,
        scopes=body.scopes,
        lifetime=None if body.ttl_days is None else timedelta(days=body.ttl_days),
    )
    return Reply(HTTPStatus.CREATED, AddedApiKeyBody(key=ApiKeyBody.of(key), api_key=secret.reveal()))


async def revoke_own(call: Call) -> Reply:
    return await _revoke(call, call.identity.caller.user_id)


async def list_of_user(call: Call) -> Reply:
    return await _list(call, call.user_id())


async def revoke_of_user(call: Call) -> Reply:
    return await _revoke(call, call.user_id())


async def _list(call: Call, user_id: UserId) -> Reply:
    keys = await call.core.machines.list_api_keys(call.identity.caller, user_id)
    return Reply(body=ApiKeyListBody(items=[ApiKeyBody.of(key) for key in keys]))


async def _revoke(call: Call, user_id: UserId) -> Reply:
    key_id = call.uuid("key_id", KeyNotFound)
    await call.core.machines.revoke_api_key(call.identity.caller, user_id, key_id)
    return Reply(HTTPStatus.NO_CONTENT)


ROUTES = (
    Route(
        method="GET",
        path="/api/v1/users/me/api-keys",
        handler=list_own,
        summary="The caller's API keys",
        answers=(Answer(HTTPStatus.OK, ApiKeyListBody, "The newest first."),),
        requires=Access.SIGNED_IN,
        refuses=ListApiKeys.refuses,
    ),
    Route(
        method="POST",
        path="/api/v1/users/me/api-keys",
        handler=add,
        summary="Make an API key, which permits no more than its scopes and its owner",
        body=NewApiKeyBody,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(Answer(HTTPStatus.CREATED, AddedApiKeyBody, "The key, and its secret, once."),),
        requires=AddApiKey.requires,
        is_sensitive=AddApiKey.is_sensitive,
        refuses=AddApiKey.refuses,
    ),
    Route(
        method="DELETE",
        path="/api/v1/users/me/api-keys/{key_id}",
        handler=revoke_own,
        summary="Revoke one of the caller's API keys",
        answers=(Answer(HTTPStatus.NO_CONTENT, description="It counts no more."),),
        requires=Access.SIGNED_IN,
        refuses=RevokeApiKey.refuses,
    ),
    Route(
        method="GET",
        path="/api/v1/users/{user_id}/api-keys",
        handler=list_of_user,
        summary="A user's API keys",
        answers=(Answer(HTTPStatus.OK, ApiKeyListBody, "The newest first."),),
        requires=ListApiKeys.requires,
        refuses=ListApiKeys.refuses,
    ),
    Route(
        method="DELETE",
        path="/api/v1/users/{user_id}/api-keys/{key_id}",
        handler=revoke_of_user,
        summary="Revoke a user's API key",
        answers=(Answer(HTTPStatus.NO_CONTENT, description="It counts no more."),),
        requires=RevokeApiKey.requires,
        refuses=RevokeApiKey.refuses,
    ),
)
