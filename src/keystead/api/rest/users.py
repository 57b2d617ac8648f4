"""Routes of `/api/v1/users/me`: the caller's own account."""

from datetime import datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from keystead.accounts.change_email import RequestEmailChange
from keystead.accounts.change_password import ChangePassword
from keystead.accounts.close_account import CloseAccount
from keystead.accounts.export_account import Bundle, ExportAccount
from keystead.api.rest.bodies import (
    AccountBody,
    Email,
    FullName,
    PageQuery,
    Password,
    SessionBody,
    UserBody,
    etag_of,
)
from keystead.api.rest.problems import IfMatchInvalid
from keystead.api.rest.routes import AUTH_BODY_BYTES, PROFILE_BODY_BYTES, Answer, Call, Reply, Route
from keystead.kernel.caller import Access, ReauthenticationRequired
from keystead.sessions.listing import EndSession, ListSessions
from keystead.sessions.types import SessionNotFound
from keystead.users import profile
from keystead.users.profile import ChangeProfile, ProfileChange, ShowProfile
from keystead.users.types import User


class MeBody(UserBody, kw_only=True):
    """The account of the caller, with the roles that it holds now."""

    roles: tuple[str, ...]


class ProfileBody(msgspec.Struct, forbid_unknown_fields=True):
    full_name: FullName | UnsetType | None = UNSET
    preferences: dict[str, Any] | UnsetType | None = UNSET


class PasswordBody(msgspec.Struct, forbid_unknown_fields=True):
    current_password: Password
    new_password: Password
    end_other_sessions: bool = True


class EmailBody(msgspec.Struct, forbid_unknown_fields=True):
    email: Email
    current_password: Password
    end_other_sessions: bool = True


class VerificationSentBody(msgspec.Struct):
    status: str = "verification_sent"


class SessionsBody(msgspec.Struct, kw_only=True):
    items: list[SessionBody]
    next_cursor: str | None


class PastSessionBody(SessionBody, kw_only=True):
    ended_at: datetime | None
    ended_because: str | None


class LinkRecordBody(msgspec.Struct, kw_only=True):
    """A link that was made out; `new_email` is what it moves the account to. Its token is not kept."""

    purpose: str
    new_email: str | None
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None


class MailRecordBody(msgspec.Struct, kw_only=True):
    """A mail, or one that was asked for; `facts` are what it says beyond what stands in the account."""

    kind: str
    facts: dict[str, str]
    created_at: datetime
    sent_at: datetime | None


class RequestRecordBody(msgspec.Struct, kw_only=True):
    """A creating request that may still be repeated under its Idempotency-Key."""

    route: str
    created_at: datetime


class EventBody(msgspec.Struct, kw_only=True):
    """A row of the trail. `actor_id` is who did it, by id."""

    at: datetime
    event: str
    actor_id: UUID | None
    session_id: UUID | None
    request_id: str | None
    detail: dict[str, Any]


class ApiKeyRecordBody(msgspec.Struct, kw_only=True):
    """An API key, live or past, without its secret."""

    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None


class ExportBody(msgspec.Struct, kw_only=True):
    """Everything that is held about a person: format `keystead-account`, version 1. Password hash and keys stay."""

    format: str = "keystead-account"
    version: int = 1
    exported_at: datetime
    account: AccountBody
    sessions: list[PastSessionBody]
    api_keys: list[ApiKeyRecordBody]
    links: list[LinkRecordBody]
    mails: list[MailRecordBody]
    requests: list[RequestRecordBody]
    events: list[EventBody]

    @classmethod
    def of(cls, bundle: Bundle, *, current: UUID) -> "ExportBody":
        return cls(
            exported_at=bundle.exported_at,
            account=AccountBody.of_account(bundle.account),
            sessions=[
                PastSessionBody(
                    **msgspec.structs.asdict(SessionBody.of(past.record, current=current)),
                    ended_at=past.ended_at,
                    ended_because=past.ended_because,
                )
                for past in bundle.sessions
            ],
            api_keys=[
                ApiKeyRecordBody(
                    name=key.name,
                    scopes=key.scopes,
                    created_at=key.created_at,
                    expires_at=key.expires_at,
                    last_used_at=key.last_used_at,
                )
                for key in bundle.api_keys
            ],
            links=[
                LinkRecordBody(
                    purpose=link.ticket.purpose,
                    new_email=link.new_email,
                    created_at=link.ticket.created_at,
                    expires_at=link.ticket.expires_at,
                    used_at=link.ticket.used_at,
                )
                for link in bundle.links
            ],
            mails=[
                MailRecordBody(
                    kind=kept.mail.kind,
                    facts=kept.facts,
                    created_at=kept.mail.created_at,
                    sent_at=kept.mail.sent_at,
                )
                for kept in bundle.mails
            ]
            + [
                MailRecordBody(kind=asked.kind, facts={}, created_at=asked.created_at, sent_at=None)
                for asked in bundle.mails_asked_for
            ],
            requests=[
                RequestRecordBody(route=kept.route, created_at=kept.created_at) for kept in bundle.requests
            ],
            events=[
                EventBody(
                    at=event.at,
                    event=event.event,
                    actor_id=event.actor_id,
                    session_id=event.session_id,
                    request_id=event.request_id,
                    detail=msgspec.json.decode(event.detail),
                )
                for event in bundle.events
            ],
        )


async def show(call: Call) -> Reply:
    return _reply(call, call.core.users.show_profile(call.identity.account))


async def replace(call: Call) -> Reply:
    return await _change(call, merge=False)


async def merge(call: Call) -> Reply:
    return await _change(call, merge=True)


async def close(call: Call) -> Reply:
    caller = call.identity.caller
    await call.core.accounts.close(caller, caller.user_id)
    return Reply(HTTPStatus.NO_CONTENT)


async def export(call: Call) -> Reply:
    caller = call.identity.caller
    bundle = await call.core.accounts.export(caller)
    headers = {"content-disposition": 'attachment; filename="keystead-account.json"'}
    return Reply(body=ExportBody.of(bundle, current=caller.credential_id), headers=headers)


async def change_password(call: Call) -> Reply:
    body: PasswordBody = call.body
    await call.core.flows.change_password(
        call.identity.caller,
        call.core.users.show_profile(call.identity.account),
        current=body.current_password,
        new=body.new_password,
        end_other_sessions=body.end_other_sessions,
    )
    return Reply(HTTPStatus.NO_CONTENT)


async def change_email(call: Call) -> Reply:
    body: EmailBody = call.body
    await call.core.flows.request_email_change(
        call.identity.caller,
        email=body.email,
        password=body.current_password,
        end_other_sessions=body.end_other_sessions,
    )
    return Reply(HTTPStatus.ACCEPTED, VerificationSentBody())


async def list_sessions(call: Call) -> Reply:
    caller = call.identity.caller
    query: PageQuery = call.query
    page = await call.core.sessions.list(caller, caller.user_id, query.wanted())
    items = [SessionBody.of(record, current=caller.credential_id) for record in page.items]
    return Reply(body=SessionsBody(items=items, next_cursor=page.next_cursor))


async def end_session(call: Call) -> Reply:
    caller = call.identity.caller
    await call.core.sessions.end(caller, call.session_id(), of=caller.user_id)
    return Reply(HTTPStatus.NO_CONTENT)


async def _change(call: Call, *, merge: bool) -> Reply:
    body: ProfileBody = call.body
    change = ProfileChange(
        full_name=profile.UNSET if isinstance(body.full_name, UnsetType) else body.full_name,
        preferences=profile.UNSET if isinstance(body.preferences, UnsetType) else body.preferences,
        merge=merge,
        version=call.expected_version(),
    )
    return _reply(call, await call.core.users.change_profile(call.identity.caller, change))


def _reply(call: Call, user: User) -> Reply:
    shown = msgspec.structs.asdict(UserBody.of(user))
    return Reply(body=MeBody(**shown, roles=call.identity.caller.roles), headers=etag_of(user))


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
        max_body_bytes=PROFILE_BODY_BYTES,
        answers=(Answer(HTTPStatus.OK, MeBody, "The account, changed."),),
        requires=ChangeProfile.requires,
        refuses=(*ChangeProfile.refuses, IfMatchInvalid),
    ),
    Route(
        method="PATCH",
        path="/api/v1/users/me",
        handler=merge,
        summary="Change full name, or merge into preferences (RFC 7396)",
        body=ProfileBody,
        max_body_bytes=PROFILE_BODY_BYTES,
        answers=(Answer(HTTPStatus.OK, MeBody, "The account, changed."),),
        requires=ChangeProfile.requires,
        refuses=(*ChangeProfile.refuses, IfMatchInvalid),
    ),
    Route(
        method="DELETE",
        path="/api/v1/users/me",
        handler=close,
        summary="Erase the account: its data opens nowhere any more",
        answers=(Answer(HTTPStatus.NO_CONTENT, description="It is erased."),),
        requires=Access.SIGNED_IN,
        is_sensitive=CloseAccount.is_sensitive,
        refuses=CloseAccount.refuses,
    ),
    Route(
        method="GET",
        path="/api/v1/users/me/export",
        handler=export,
        summary="Everything that is held about the caller",
        answers=(Answer(HTTPStatus.OK, ExportBody, "The bundle."),),
        requires=ExportAccount.requires,
        is_sensitive=ExportAccount.is_sensitive,
        refuses=ExportAccount.refuses,
    ),
    Route(
        method="PUT",
        path="/api/v1/users/me/password",
        handler=change_password,
        summary="Change the password; other sessions end unless they are to stay",
        body=PasswordBody,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(Answer(HTTPStatus.NO_CONTENT, description="The new password holds."),),
        requires=ChangePassword.requires,
        limited_as=ChangePassword.limited_as,
        is_sensitive=ChangePassword.is_sensitive,
        refuses=ChangePassword.refuses,
    ),
    Route(
        method="PUT",
        path="/api/v1/users/me/email",
        handler=change_email,
        summary="Ask to move the account to a new address, which gets a link",
        body=EmailBody,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(Answer(HTTPStatus.ACCEPTED, VerificationSentBody, "The new address must be proven first."),),
        requires=RequestEmailChange.requires,
        limited_as=RequestEmailChange.limited_as,
        is_sensitive=RequestEmailChange.is_sensitive,
        refuses=RequestEmailChange.refuses,
    ),
    Route(
        method="GET",
        path="/api/v1/users/me/sessions",
        handler=list_sessions,
        summary="The caller's live sessions: device, address, last seen",
        query=PageQuery,
        answers=(Answer(HTTPStatus.OK, SessionsBody, "The newest first."),),
        requires=Access.SIGNED_IN,
        refuses=ListSessions.refuses,
    ),
    Route(
        method="DELETE",
        path="/api/v1/users/me/sessions/{session_id}",
        handler=end_session,
        summary="End one of the caller's sessions",
        answers=(Answer(HTTPStatus.NO_CONTENT, description="It has ended."),),
        requires=Access.SIGNED_IN,
        is_sensitive=EndSession.is_sensitive,
        refuses=(SessionNotFound, ReauthenticationRequired),
    ),
)
