"""Routes of `/api/v1/refresh_tokens`: a session as the resource that its refresh token belongs to."""

from http import HTTPStatus
from uuid import UUID

import msgspec

from keystead.api.rest.bodies import ClientId, SessionBody, TokenPairBody
from keystead.api.rest.problems import RefreshTokenRequired
from keystead.api.rest.routes import AUTH_BODY_BYTES, Answer, Call, Reply, Route
from keystead.auth.issue_session import IssueSession
from keystead.auth.refresh import Refresh
from keystead.auth.refusals import RefreshRefused
from keystead.kernel.caller import Access, NotSignedIn
from keystead.kernel.errors import FieldError, InvalidInput
from keystead.kernel.ids import UserId
from keystead.sessions.listing import EndSession, ShowSession
from keystead.sessions.types import SessionNotFound


class NewSessionBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Whose session it will be. Token and times are the server's to make."""

    user_id: UUID
    client_id: ClientId | None = None


class IssuedBody(TokenPairBody, kw_only=True):
    """The only answer that shows its tokens."""

    id: str
    user_id: UUID


class RotationBody(msgspec.Struct, forbid_unknown_fields=True):
    """Nothing: the server makes the next token."""


async def issue(call: Call) -> Reply:
    body: NewSessionBody = call.body
    user_id, pair = await call.core.auth.issue_session(
        call.identity.caller,
        UserId(body.user_id),
        origin=call.origin,
        client_id=body.client_id,
        once=call.once(),
    )
    shown = msgspec.structs.asdict(TokenPairBody.of(pair))
    return Reply(HTTPStatus.CREATED, IssuedBody(**shown, id=shown["session_id"], user_id=user_id))


async def show(call: Call) -> Reply:
    record = await call.core.sessions.show(call.identity.caller, call.session_id())
    return Reply(body=SessionBody.of(record, current=call.identity.caller.credential_id))


async def rotate(call: Call) -> Reply:
    """As POST /auth/refresh, for the session in the path: with its current refresh token, and nothing less."""
    token = call.bearer_token()
    if token is None:
        raise NotSignedIn
    if not token.startswith("rt_"):
        await call.core.auth.identify(token)
        if isinstance(call.body, str):
            raise _token_of_the_client()
        raise RefreshTokenRequired
    session_id = call.core.auth.csrf.session_of(token)
    if session_id is None:
        raise RefreshRefused
    if isinstance(call.body, str):
        raise _token_of_the_client()
    if session_id != call.session_id():
        raise SessionNotFound
    return Reply(body=TokenPairBody.of(await call.core.auth.refresh(token)))


async def end(call: Call) -> Reply:
    await call.core.sessions.end(call.identity.caller, call.session_id())
    return Reply(HTTPStatus.NO_CONTENT)


def _token_of_the_client() -> InvalidInput:
    message = "The server makes the next token; send no body."
    return InvalidInput(FieldError("", "token_not_yours_to_make", message))


ROUTES = (
    Route(
        method="POST",
        path="/api/v1/refresh_tokens",
        handler=issue,
        summary="Start a session in a user's name; shows its tokens once",
        body=NewSessionBody,
        max_body_bytes=AUTH_BODY_BYTES,
        takes_key=True,
        answers=(Answer(HTTPStatus.CREATED, IssuedBody, "The session, with its tokens."),),
        requires=IssueSession.requires,
        refuses=IssueSession.refuses,
    ),
    Route(
        method="GET",
        path="/api/v1/refresh_tokens/{session_id}",
        handler=show,
        summary="A live session, without its token",
        answers=(Answer(HTTPStatus.OK, SessionBody, "The session."),),
        requires=ShowSession.requires,
        refuses=ShowSession.refuses,
    ),
    Route(
        method="PUT",
        path="/api/v1/refresh_tokens/{session_id}",
        handler=rotate,
        summary="Rotate: needs the session's current refresh token as bearer",
        body=RotationBody,
        text_body=str,
        body_is_optional=True,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(Answer(HTTPStatus.OK, TokenPairBody, "The next pair."),),
        requires=Access.REFRESH_TOKEN,
        refuses=(*Refresh.refuses, NotSignedIn, RefreshTokenRequired, SessionNotFound),
    ),
    Route(
        method="DELETE",
        path="/api/v1/refresh_tokens/{session_id}",
        handler=end,
        summary="End a session",
        answers=(Answer(HTTPStatus.NO_CONTENT, description="It has ended."),),
        requires=EndSession.requires,
        is_sensitive=EndSession.is_sensitive,
        refuses=EndSession.refuses,
    ),
)
