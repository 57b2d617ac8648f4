"""Routes of `/api/v1/service-accounts`."""

from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from keystead.accounts.service_accounts import (
    MAX_DESCRIPTION_LENGTH,
    MAX_ROLES,
    ChangeServiceAccount,
    CreateServiceAccount,
    DeleteServiceAccount,
    ListServiceAccounts,
    NewAccount,
    ShowServiceAccount,
)
from keystead.accounts.service_keys import AddedKey, AddServiceKey, ListServiceKeys, RevokeServiceKey
from keystead.api.rest.bodies import ClientId, PageQuery, RoleName
from keystead.api.rest.routes import AUTH_BODY_BYTES, Answer, Call, Reply, Route
from keystead.kernel.ids import ServiceAccountId
from keystead.machines.types import KeyNotFound, ServiceAccount, ServiceAccountNotFound, ServiceKey

Name = Annotated[str, Meta(min_length=2, max_length=63, pattern=r"^[a-z][a-z0-9_-]+$")]
Description = Annotated[str, Meta(max_length=MAX_DESCRIPTION_LENGTH)]
RoleNames = Annotated[tuple[RoleName, ...], Meta(max_length=MAX_ROLES)]
Scopes = Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=100)]
PublicKeyText = Annotated[str, Meta(max_length=4096, description="In PEM. Without one a secret is made.")]
AlgorithmName = Annotated[str, Meta(max_length=10, description="Of the public key; by its kind without.")]
Days = Annotated[float, Meta(gt=0, le=400)]


class ServiceAccountBody(msgspec.Struct, kw_only=True):
    """`id` is its `client_id` at the token endpoint; `application` is whose audience its tokens have."""

    id: UUID
    name: str
    description: str
    application: str
    roles: list[str]
    is_disabled: bool
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, account: ServiceAccount) -> "ServiceAccountBody":
        return cls(
            id=account.id,
            name=account.name,
            description=account.description,
            application=account.client_id,
            roles=account.roles,
            is_disabled=account.disabled_at is not None,
            created_at=account.created_at,
            updated_at=account.updated_at,
        )


class ServiceAccountListBody(msgspec.Struct, kw_only=True):
    items: list[ServiceAccountBody]
    next_cursor: str | None


class ServiceKeyBody(msgspec.Struct, kw_only=True):
    """`hint` is the end of a secret; a public key has an `algorithm`. `scopes` null: all that the roles permit."""

    id: UUID
    algorithm: str | None
    hint: str
    scopes: list[str] | None
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None

    @classmethod
    def of(cls, key: ServiceKey) -> "ServiceKeyBody":
        return cls(
            id=key.id,
            algorithm=key.algorithm,
            hint=key.hint,
            scopes=key.scopes,
            created_at=key.created_at,
            expires_at=key.expires_at,
            last_used_at=key.last_used_at,
        )


class ServiceKeyListBody(msgspec.Struct, kw_only=True):
    items: list[ServiceKeyBody]
    next_cursor: str | None = None


class AddedKeyBody(msgspec.Struct, kw_only=True):
    """`client_secret` is shown this once; a public key has none."""

    key: ServiceKeyBody
    client_id: UUID
    client_secret: str | None

    @classmethod
    def of(cls, added: AddedKey) -> "AddedKeyBody":
        return cls(
            key=ServiceKeyBody.of(added.key),
            client_id=added.key.account_id,
            client_secret=None if added.secret is None else added.secret.reveal(),
        )


class CreatedServiceAccountBody(AddedKeyBody, kw_only=True):
    account: ServiceAccountBody


class NewServiceAccountBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name
    description: Description = ""
    roles: RoleNames = ()
    application: ClientId | None = None
    scopes: Scopes | None = None
    ttl_days: Days | None = None
    public_key: PublicKeyText | None = None
    algorithm: AlgorithmName | None = None


class ServiceAccountChangeBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A field that is absent stays."""

    description: Description | None = None
    roles: RoleNames | None = None
    is_disabled: bool | None = None


class NewServiceKeyBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    scopes: Scopes | None = None
    ttl_days: Days | None = None
    public_key: PublicKeyText | None = None
    algorithm: AlgorithmName | None = None


async def list_accounts(call: Call) -> Reply:
    query: PageQuery = call.query
    page = await call.core.machines.list(call.identity.caller, query.wanted())
    items = [ServiceAccountBody.of(account) for account in page.items]
    return Reply(body=ServiceAccountListBody(items=items, next_cursor=page.next_cursor))


async def show(call: Call) -> Reply:
    account = await call.core.machines.show(call.identity.caller, _account_id(call))
    return Reply(body=ServiceAccountBody.of(account))


async def create(call: Call) -> Reply:
    body: NewServiceAccountBody = call.body
    created = await call.core.machines.create(
        call.identity.caller,
        NewAccount(
            name=body.name,
            description=body.description,
            roles=body.roles,
            client_id=body.application,
            scopes=body.scopes,
            lifetime=_span(body.ttl_days),
            public_key=body.public_key,
            algorithm=body.algorithm,
        ),
    )
    answer = CreatedServiceAccountBody(
        account=ServiceAccountBody.of(created.account),
        key=ServiceKeyBody.of(created.key),
        client_id=created.account.id,
        client_secret=None if created.secret is None else created.secret.reveal(),
    )
    headers = {"location": f"/api/v1/service-accounts/{created.account.id}"}
    return Reply(HTTPStatus.CREATED, answer, headers=headers)


async def change(call: Call) -> Reply:
    body: ServiceAccountChangeBody = call.body
    account = await call.core.machines.change(
        call.identity.caller,
        _account_id(call),
        description=body.description,
        roles=body.roles,
        is_disabled=body.is_disabled,
    )
    return Reply(body=ServiceAccountBody.of(account))


async def delete(call: Call) -> Reply:
    await call.core.machines.delete(call.identity.caller, _account_id(call))
    return Reply(HTTPStatus.NO_CONTENT)


async def list_keys(call: Call) -> Reply:
    keys = await call.core.machines.list_keys(call.identity.caller, _account_id(call))
    return Reply(body=ServiceKeyListBody(items=[ServiceKeyBody.of(key) for key in keys]))


async def add_key(call: Call) -> Reply:
    body: NewServiceKeyBody = call.body
    added = await call.core.machines.add_key(
        call.identity.caller,
        _account_id(call),
        scopes=body.scopes,
        lifetime=_span(body.ttl_days),
        public_key=body.public_key,
        algorithm=body.algorithm,
    )
    return Reply(HTTPStatus.CREATED, AddedKeyBody.of(added))


async def revoke_key(call: Call) -> Reply:
    key_id = call.uuid("key_id", KeyNotFound)
    await call.core.machines.revoke_key(call.identity.caller, _account_id(call), key_id)
    return Reply(HTTPStatus.NO_CONTENT)


def _account_id(call: Call) -> ServiceAccountId:
    return ServiceAccountId(call.uuid("account_id", ServiceAccountNotFound))


def _span(days: float | None) -> timedelta | None:
    return None if days is None else timedelta(days=days)


_ACCOUNT = "/api/v1/service-accounts/{account_id}"

ROUTES = (
    Route(
        method="GET",
        path="/api/v1/service-accounts",
        handler=list_accounts,
        summary="Service accounts, by name",
        query=PageQuery,
        answers=(Answer(HTTPStatus.OK, ServiceAccountListBody, "A page of them."),),
        requires=ListServiceAccounts.requires,
        refuses=ListServiceAccounts.refuses,
    ),
    Route(
        method="POST",
        path="/api/v1/service-accounts",
        handler=create,
        summary="Make a service account with its first key",
        body=NewServiceAccountBody,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(
            Answer(HTTPStatus.CREATED, CreatedServiceAccountBody, "The account, and its secret, once."),
        ),
        requires=CreateServiceAccount.requires,
        is_sensitive=CreateServiceAccount.is_sensitive,
        refuses=CreateServiceAccount.refuses,
    ),
    Route(
        method="GET",
        path=_ACCOUNT,
        handler=show,
        summary="One service account",
        answers=(Answer(HTTPStatus.OK, ServiceAccountBody, "The account."),),
        requires=ShowServiceAccount.requires,
        refuses=ShowServiceAccount.refuses,
    ),
    Route(
        method="PATCH",
        path=_ACCOUNT,
        handler=change,
        summary="Change a service account",
        body=ServiceAccountChangeBody,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(Answer(HTTPStatus.OK, ServiceAccountBody, "The account, changed."),),
        requires=ChangeServiceAccount.requires,
        is_sensitive=ChangeServiceAccount.is_sensitive,
        refuses=ChangeServiceAccount.refuses,
    ),
    Route(
        method="DELETE",
        path=_ACCOUNT,
        handler=delete,
        summary="Delete a service account, with its keys",
        answers=(Answer(HTTPStatus.NO_CONTENT, description="It is gone."),),
        requires=DeleteServiceAccount.requires,
        is_sensitive=DeleteServiceAccount.is_sensitive,
        refuses=DeleteServiceAccount.refuses,
    ),
    Route(
        method="GET",
        path=f"{_ACCOUNT}/keys",
        handler=list_keys,
        summary="The live keys of a service account",
        answers=(Answer(HTTPStatus.OK, ServiceKeyListBody, "The newest first."),),
        requires=ListServiceKeys.requires,
        refuses=ListServiceKeys.refuses,
    ),
    Route(
        method="POST",
        path=f"{_ACCOUNT}/keys",
        handler=add_key,
        summary="One more secret, or a public key, for a service account",
        body=NewServiceKeyBody,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(Answer(HTTPStatus.CREATED, AddedKeyBody, "The key, and its secret, once."),),
        requires=AddServiceKey.requires,
        is_sensitive=AddServiceKey.is_sensitive,
        refuses=AddServiceKey.refuses,
    ),
    Route(
        method="DELETE",
        path=f"{_ACCOUNT}/keys/{{key_id}}",
        handler=revoke_key,
        summary="Revoke a key of a service account",
        answers=(Answer(HTTPStatus.NO_CONTENT, description="It counts no more."),),
        requires=RevokeServiceKey.requires,
        is_sensitive=RevokeServiceKey.is_sensitive,
        refuses=RevokeServiceKey.refuses,
    ),
)
