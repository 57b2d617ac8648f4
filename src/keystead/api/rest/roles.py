"""Routes of `/api/v1/roles`."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta

from keystead.api.rest.routes import AUTH_BODY_BYTES, Answer, Call, Reply, Route
from keystead.roles.define import (
    MAX_DESCRIPTION_LENGTH,
    AddRole,
    DeleteRole,
    ListRoles,
    ReplaceRole,
    ShowRole,
)
from keystead.roles.types import Role

Description = Annotated[str, Meta(max_length=MAX_DESCRIPTION_LENGTH)]
PermissionNames = Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=100)]


class RoleBody(msgspec.Struct, kw_only=True):
    name: str
    description: str
    permissions: tuple[str, ...]
    is_built_in: bool
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, role: Role) -> "RoleBody":
        return cls(
            name=role.name,
            description=role.description,
            permissions=role.permissions,
            is_built_in=role.is_built_in,
            created_at=role.created_at,
            updated_at=role.updated_at,
        )


class RoleListBody(msgspec.Struct, kw_only=True):
    items: list[RoleBody]
    next_cursor: str | None = None


class NewRoleBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(min_length=2, max_length=63, pattern=r"^[a-z][a-z0-9_-]+$")]
    description: Description = ""
    permissions: PermissionNames


class RoleChangeBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A field that is absent stays."""

    description: Description | None = None
    permissions: PermissionNames | None = None


async def list_roles(call: Call) -> Reply:
    found = await call.core.roles.list(call.identity.caller)
    return Reply(body=RoleListBody(items=[RoleBody.of(role) for role in found]))


async def show(call: Call) -> Reply:
    return Reply(body=RoleBody.of(await call.core.roles.show(call.identity.caller, _name(call))))


async def add(call: Call) -> Reply:
    body: NewRoleBody = call.body
    role = await call.core.roles.add(
        call.identity.caller,
        name=body.name,
        description=body.description,
        permissions=body.permissions,
        once=call.once(),
    )
    return Reply(HTTPStatus.CREATED, RoleBody.of(role))


async def replace(call: Call) -> Reply:
    body: RoleChangeBody = call.body
    role = await call.core.roles.replace(
        call.identity.caller, _name(call), description=body.description, permissions=body.permissions
    )
    return Reply(body=RoleBody.of(role))


async def delete(call: Call) -> Reply:
    await call.core.roles.delete(call.identity.caller, _name(call))
    return Reply(HTTPStatus.NO_CONTENT)


def _name(call: Call) -> str:
    name: str = call.request.path_params["name"]
    return name


_ROLE = Answer(HTTPStatus.OK, RoleBody, "The role.")

ROUTES = (
    Route(
        method="GET",
        path="/api/v1/roles",
        handler=list_roles,
        summary="Every role, and what it permits",
        answers=(Answer(HTTPStatus.OK, RoleListBody, "All of them, by name."),),
        requires=ListRoles.requires,
    ),
    Route(
        method="POST",
        path="/api/v1/roles",
        handler=add,
        summary="Define a role that permits no more than its maker may do",
        body=NewRoleBody,
        max_body_bytes=AUTH_BODY_BYTES,
        takes_key=True,
        answers=(Answer(HTTPStatus.CREATED, RoleBody, "The new role."),),
        requires=AddRole.requires,
        is_sensitive=AddRole.is_sensitive,
        refuses=AddRole.refuses,
    ),
    Route(
        method="GET",
        path="/api/v1/roles/{name}",
        handler=show,
        summary="A role",
        answers=(_ROLE,),
        requires=ShowRole.requires,
        refuses=ShowRole.refuses,
    ),
    Route(
        method="PUT",
        path="/api/v1/roles/{name}",
        handler=replace,
        summary="Change a role; holds for tokens already issued",
        body=RoleChangeBody,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(_ROLE,),
        requires=ReplaceRole.requires,
        is_sensitive=ReplaceRole.is_sensitive,
        refuses=ReplaceRole.refuses,
    ),
    Route(
        method="DELETE",
        path="/api/v1/roles/{name}",
        handler=delete,
        summary="Delete a role; nobody holds it any more",
        answers=(Answer(HTTPStatus.NO_CONTENT, description="It is gone."),),
        requires=DeleteRole.requires,
        is_sensitive=DeleteRole.is_sensitive,
        refuses=DeleteRole.refuses,
    ),
)
