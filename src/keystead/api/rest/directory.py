"""Routes of `/api/v1/users`: accounts as administrators manage them, and as their owners reach them by id."""

from http import HTTPStatus
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from keystead.accounts.account import ShowUser
from keystead.accounts.change_user import ChangeUser
from keystead.accounts.close_account import CloseAccount
from keystead.accounts.create_user import AccountWanted, CreateUser
from keystead.accounts.invite import Invite
from keystead.accounts.list_users import Filters, ListUsers
from keystead.accounts.reset_password import StartReset
from keystead.accounts.set_roles import SetRoles
from keystead.accounts.set_status import DisableUser, EnableUser, LockUser, UnlockUser
from keystead.api.rest.bodies import (
    AccountBody,
    ClientId,
    Email,
    FullName,
    Moment,
    MomentText,
    PageQuery,
    Password,
    RoleName,
    SessionBody,
    etag_of,
    given,
    moment_of,
)
from keystead.api.rest.problems import IfMatchInvalid
from keystead.api.rest.routes import AUTH_BODY_BYTES, PROFILE_BODY_BYTES, Answer, Call, Reply, Route
from keystead.api.rest.users import SessionsBody
from keystead.kernel.caller import OwnerOr, Permission
from keystead.sessions.listing import EndSession, EndSessionsOfUser, ListSessions
from keystead.users import profile
from keystead.users.profile import ProfileChange
from keystead.users.types import UserStatus


class NewUserBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A new user with a password or without; `password_hash`, `id` and times are for a move from another system."""

    email: Email
    password: Password | None = None
    password_hash: Annotated[str, Meta(min_length=1, max_length=2048)] | None = None
    full_name: FullName | None = None
    preferences: dict[str, Any] | None = None
    app_metadata: dict[str, Any] | None = None
    id: UUID | None = None
    created_at: Moment | None = None
    updated_at: Moment | None = None


class UserChangeBody(msgspec.Struct, forbid_unknown_fields=True):
    """`app_metadata` needs `users:update`, for one's own account, too."""

    full_name: FullName | UnsetType | None = UNSET
    preferences: dict[str, Any] | UnsetType | None = UNSET
    app_metadata: dict[str, Any] | UnsetType | None = UNSET


class InvitationBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    email: Email
    full_name: FullName | None = None
    roles: Annotated[tuple[RoleName, ...], Meta(max_length=50)] = ("user",)
    client_id: ClientId | None = None


class RolesBody(msgspec.Struct, forbid_unknown_fields=True):
    roles: Annotated[tuple[RoleName, ...], Meta(max_length=50)]


class UsersQuery(PageQuery, kw_only=True, forbid_unknown_fields=True):
    status: Literal["active", "disabled", "locked", "pending"] | UnsetType = UNSET
    role: RoleName | UnsetType = UNSET
    email: Email | UnsetType = UNSET
    email_domain: Annotated[str, Meta(min_length=1, max_length=253)] | UnsetType = UNSET
    created_from: MomentText | UnsetType = UNSET
    created_before: MomentText | UnsetType = UNSET

    def filters(self) -> Filters:
        return Filters(
            status=None if isinstance(self.status, UnsetType) else UserStatus(self.status),
            role=given(self.role),
            email=given(self.email),
            email_domain=given(self.email_domain),
            created_from=moment_of("created_from", self.created_from),
            created_before=moment_of("created_before", self.created_before),
        )


class UsersBody(msgspec.Struct, kw_only=True):
    items: list[AccountBody]
    next_cursor: str | None


class EndedBody(msgspec.Struct, kw_only=True):
    """How many sessions were ended."""

    ended: int


async def create(call: Call) -> Reply:
    body: NewUserBody = call.body
    wanted = AccountWanted(
        email=body.email,
        password=body.password,
        password_hash=body.password_hash,
        full_name=body.full_name,
        preferences=body.preferences or {},
        app_metadata=body.app_metadata or {},
        id=body.id,
        created_at=body.created_at,
        updated_at=body.updated_at,
    )
    account = await call.core.accounts.create(call.identity.caller, wanted, once=call.once())
    return Reply(HTTPStatus.CREATED, AccountBody.of_account(account), headers=etag_of(account.user))


async def invite(call: Call) -> Reply:
    body: InvitationBody = call.body
    invited = await call.core.accounts.invite(
        call.identity.caller,
        email=body.email,
        full_name=body.full_name,
        roles_wanted=body.roles,
        client_id=body.client_id,
        once=call.once(),
    )
    account = invited.account
    return Reply(HTTPStatus.CREATED, AccountBody.of_account(account), headers=etag_of(account.user))


async def list_users(call: Call) -> Reply:
    query: UsersQuery = call.query
    page = await call.core.accounts.list(call.identity.caller, query.filters(), query.wanted())
    items = [AccountBody.of_account(account) for account in page.items]
    return Reply(body=UsersBody(items=items, next_cursor=page.next_cursor))


async def show(call: Call) -> Reply:
    account = await call.core.accounts.show(call.identity.caller, call.user_id())
    return Reply(body=AccountBody.of_account(account), headers=etag_of(account.user))


async def replace(call: Call) -> Reply:
    return await _change(call, merge=False)


async def merge(call: Call) -> Reply:
    return await _change(call, merge=True)


async def close(call: Call) -> Reply:
    await call.core.accounts.close(call.identity.caller, call.user_id())
    return Reply(HTTPStatus.NO_CONTENT)


async def disable(call: Call) -> Reply:
    await call.core.accounts.disable(call.identity.caller, call.user_id())
    return Reply(HTTPStatus.NO_CONTENT)


async def enable(call: Call) -> Reply:
    await call.core.accounts.enable(call.identity.caller, call.user_id())
    return Reply(HTTPStatus.NO_CONTENT)


async def lock(call: Call) -> Reply:
    await call.core.accounts.lock(call.identity.caller, call.user_id())
    return Reply(HTTPStatus.NO_CONTENT)


async def unlock(call: Call) -> Reply:
    await call.core.accounts.unlock(call.identity.caller, call.user_id())
    return Reply(HTTPStatus.NO_CONTENT)


async def start_reset(call: Call) -> Reply:
    await call.core.accounts.start_reset(call.identity.caller, call.user_id())
    return Reply(HTTPStatus.ACCEPTED)


async def set_roles(call: Call) -> Reply:
    body: RolesBody = call.body
    account = await call.core.roles.set(call.identity.caller, call.user_id(), body.roles)
    return Reply(body=AccountBody.of_account(account), headers=etag_of(account.user))


async def list_sessions(call: Call) -> Reply:
    caller = call.identity.caller
    query: PageQuery = call.query
    page = await call.core.sessions.list(caller, call.user_id(), query.wanted())
    items = [SessionBody.of(record, current=caller.credential_id) for record in page.items]
    return Reply(body=SessionsBody(items=items, next_cursor=page.next_cursor))


async def end_session(call: Call) -> Reply:
    await call.core.sessions.end(call.identity.caller, call.session_id(), of=call.user_id())
    return Reply(HTTPStatus.NO_CONTENT)


async def end_sessions(call: Call) -> Reply:
    ended = await call.core.sessions.end_all(call.identity.caller, call.user_id())
    return Reply(body=EndedBody(ended=ended))


async def _change(call: Call, *, merge: bool) -> Reply:
    version = call.expected_version()
    if isinstance(call.body, str):
        change = ProfileChange(full_name=call.body, version=version)
    else:
        body: UserChangeBody = call.body
        change = ProfileChange(
            full_name=profile.UNSET if isinstance(body.full_name, UnsetType) else body.full_name,
            preferences=profile.UNSET if isinstance(body.preferences, UnsetType) else body.preferences,
            app_metadata=profile.UNSET if isinstance(body.app_metadata, UnsetType) else body.app_metadata,
            merge=merge,
            version=version,
        )
    account = await call.core.accounts.change(call.identity.caller, call.user_id(), change)
    return Reply(body=AccountBody.of_account(account), headers=etag_of(account.user))


_ACCOUNT = Answer(HTTPStatus.OK, AccountBody, "The account.")
_DONE = Answer(HTTPStatus.NO_CONTENT, description="It is done.")

ROUTES = (
    Route(
        method="POST",
        path="/api/v1/users",
        handler=create,
        summary="Create a user, or import one with the hash of their password",
        body=NewUserBody,
        max_body_bytes=AUTH_BODY_BYTES,
        takes_key=True,
        answers=(Answer(HTTPStatus.CREATED, AccountBody, "The new account."),),
        requires=CreateUser.requires,
        refuses=CreateUser.refuses,
    ),
    Route(
        method="GET",
        path="/api/v1/users",
        handler=list_users,
        summary="List users, the newest first, by page and filter",
        query=UsersQuery,
        answers=(Answer(HTTPStatus.OK, UsersBody, "A page."),),
        requires=ListUsers.requires,
        refuses=ListUsers.refuses,
    ),
    Route(
        method="POST",
        path="/api/v1/invitations",
        handler=invite,
        summary="Invite somebody, who chooses a password with the mailed link",
        body=InvitationBody,
        max_body_bytes=AUTH_BODY_BYTES,
        takes_key=True,
        answers=(Answer(HTTPStatus.CREATED, AccountBody, "The account that waits for its owner."),),
        requires=Invite.requires,
        refuses=Invite.refuses,
    ),
    Route(
        method="GET",
        path="/api/v1/users/{user_id}",
        handler=show,
        summary="A user",
        answers=(_ACCOUNT,),
        requires=ShowUser.requires,
        refuses=ShowUser.refuses,
    ),
    Route(
        method="PUT",
        path="/api/v1/users/{user_id}",
        handler=replace,
        summary="Replace full name, preferences or metadata; a bare string is the new full name",
        body=UserChangeBody,
        text_body=FullName,
        max_body_bytes=PROFILE_BODY_BYTES,
        answers=(_ACCOUNT,),
        requires=ChangeUser.requires,
        refuses=(*ChangeUser.refuses, IfMatchInvalid),
    ),
    Route(
        method="PATCH",
        path="/api/v1/users/{user_id}",
        handler=merge,
        summary="Change full name, or merge into preferences or metadata (RFC 7396)",
        body=UserChangeBody,
        max_body_bytes=PROFILE_BODY_BYTES,
        answers=(_ACCOUNT,),
        requires=ChangeUser.requires,
        refuses=(*ChangeUser.refuses, IfMatchInvalid),
    ),
    Route(
        method="DELETE",
        path="/api/v1/users/{user_id}",
        handler=close,
        summary="Erase a user: their data opens nowhere any more",
        answers=(Answer(HTTPStatus.NO_CONTENT, description="It is erased."),),
        requires=CloseAccount.requires,
        is_sensitive=CloseAccount.is_sensitive,
        refuses=CloseAccount.refuses,
    ),
    Route(
        method="POST",
        path="/api/v1/users/{user_id}/disable",
        handler=disable,
        summary="Disable an account: its sessions end at once",
        answers=(_DONE,),
        requires=DisableUser.requires,
        is_sensitive=DisableUser.is_sensitive,
        refuses=DisableUser.refuses,
    ),
    Route(
        method="POST",
        path="/api/v1/users/{user_id}/enable",
        handler=enable,
        summary="Enable an account again",
        answers=(_DONE,),
        requires=EnableUser.requires,
        is_sensitive=EnableUser.is_sensitive,
        refuses=EnableUser.refuses,
    ),
    Route(
        method="POST",
        path="/api/v1/users/{user_id}/lock",
        handler=lock,
        summary="Lock an account until its owner proves the mailbox again",
        answers=(_DONE,),
        requires=LockUser.requires,
        is_sensitive=LockUser.is_sensitive,
        refuses=LockUser.refuses,
    ),
    Route(
        method="POST",
        path="/api/v1/users/{user_id}/unlock",
        handler=unlock,
        summary="Unlock an account",
        answers=(_DONE,),
        requires=UnlockUser.requires,
        is_sensitive=UnlockUser.is_sensitive,
        refuses=UnlockUser.refuses,
    ),
    Route(
        method="POST",
        path="/api/v1/users/{user_id}/reset",
        handler=start_reset,
        summary="Mail the user a link to set a new password",
        answers=(Answer(HTTPStatus.ACCEPTED, description="The mail is on its way."),),
        requires=StartReset.requires,
        refuses=StartReset.refuses,
    ),
    Route(
        method="PUT",
        path="/api/v1/users/{user_id}/roles",
        handler=set_roles,
        summary="Set the roles of a user; holds for tokens already issued",
        body=RolesBody,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(_ACCOUNT,),
        requires=SetRoles.requires,
        is_sensitive=SetRoles.is_sensitive,
        refuses=SetRoles.refuses,
    ),
    Route(
        method="GET",
        path="/api/v1/users/{user_id}/sessions",
        handler=list_sessions,
        summary="The live sessions of a user",
        query=PageQuery,
        answers=(Answer(HTTPStatus.OK, SessionsBody, "The newest first."),),
        requires=ListSessions.requires,
        refuses=(*ListSessions.refuses, *ShowUser.refuses),
    ),
    Route(
        method="DELETE",
        path="/api/v1/users/{user_id}/sessions",
        handler=end_sessions,
        summary="End every session of a user",
        answers=(Answer(HTTPStatus.OK, EndedBody, "They have ended."),),
        requires=EndSessionsOfUser.requires,
        is_sensitive=EndSessionsOfUser.is_sensitive,
        refuses=(*EndSessionsOfUser.refuses, *ShowUser.refuses),
    ),
    Route(
        method="DELETE",
        path="/api/v1/users/{user_id}/sessions/{session_id}",
        handler=end_session,
        summary="End one session of a user",
        answers=(Answer(HTTPStatus.NO_CONTENT, description="It has ended."),),
        requires=OwnerOr(Permission.SESSIONS_END),
        is_sensitive=EndSession.is_sensitive,
        refuses=(*EndSession.refuses, *ShowUser.refuses),
    ),
)
