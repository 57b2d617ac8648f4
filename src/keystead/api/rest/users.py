"""Routes of `/api/v1/users`: the caller's own account."""

from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from keystead.api.rest.routes import Answer, Call, Reply, Route
from keystead.kernel.errors import InvalidInput
from keystead.users import profile
from keystead.users.profile import MAX_NAME_LENGTH, ChangeProfile, ProfileChange, ShowProfile
from keystead.users.types import User

FullName = Annotated[
    str, Meta(min_length=1, max_length=MAX_NAME_LENGTH, description="Characters that print.")
]


class UserBody(msgspec.Struct, kw_only=True):
    id: UUID
    email: str
    email_verified: bool
    full_name: str | None
    status: str
    preferences: dict[str, Any]
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, user: User) -> "UserBody":
        return cls(
            id=user.id,
            email=user.email,
            email_verified=user.email_verified,
            full_name=user.full_name,
            status=user.status.value,
            preferences=user.preferences,
            created_at=user.created_at,
            updated_at=user.updated_at,
        )


class MeBody(UserBody, kw_only=True):
    """The account of the caller, with the roles that it holds now."""

    roles: tuple[str, ...]


class ProfileBody(msgspec.Struct, forbid_unknown_fields=True):
    full_name: FullName | UnsetType | None = UNSET
    preferences: dict[str, Any] | UnsetType | None = UNSET


async def show(call: Call) -> Reply:
    return _reply(call, call.core.users.show_profile(call.identity.account))


async def replace(call: Call) -> Reply:
    return await _change(call, merge=False)


async def merge(call: Call) -> Reply:
    return await _change(call, merge=True)


async def _change(call: Call, *, merge: bool) -> Reply:
    body: ProfileBody = call.body
    change = ProfileChange(
        full_name=profile.UNSET if isinstance(body.full_name, UnsetType) else body.full_name,
        preferences=profile.UNSET if isinstance(body.preferences, UnsetType) else body.preferences,
        merge=merge,
    )
    return _reply(call, await call.core.users.change_profile(call.identity.caller, change))


def _reply(call: Call, user: User) -> Reply:
    shown = msgspec.structs.asdict(UserBody.of(user))
    return Reply(body=MeBody(**shown, roles=call.identity.caller.roles))


ROUTES = (
    Route(
        method="GET",
        path="/api/v1/users/me",
        handler=show,
        summary="The caller's account",
        answers=(Answer(HTTPStatus.OK, MeBody, "The account."),),
        requires=ShowProfile.requires,
    ),
    Route(
        method="PUT",
        path="/api/v1/users/me",
        handler=replace,
        summary="Replace full name or preferences; an absent field stays",
        body=ProfileBody,
        answers=(Answer(HTTPStatus.OK, MeBody, "The account, changed."),),
        requires=ChangeProfile.requires,
        refuses=(InvalidInput,),
    ),
    Route(
        method="PATCH",
        path="/api/v1/users/me",
        handler=merge,
        summary="Change full name, or merge into preferences (RFC 7396)",
        body=ProfileBody,
        answers=(Answer(HTTPStatus.OK, MeBody, "The account, changed."),),
        requires=ChangeProfile.requires,
        refuses=(InvalidInput,),
    ),
)
