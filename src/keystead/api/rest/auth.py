"""Routes of `/api/v1/auth`: register, login, refresh, logout, policy."""

from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta

from keystead.api.rest.problems import SeveralCredentials
from keystead.api.rest.routes import AUTH_BODY_BYTES, Answer, Call, Reply, Route
from keystead.api.rest.users import FullName, UserBody
from keystead.auth.login import Login
from keystead.auth.logout import Logout, LogoutAll
from keystead.auth.refresh import Refresh
from keystead.auth.refusals import RefreshRefused
from keystead.auth.register import Register, VerificationRequired
from keystead.auth.token_pair import TokenPair
from keystead.kernel.caller import Access, NotSignedIn
from keystead.users.passwords import MAX_BYTES

# Longer than any password that could be right, so that its length is judged by the rules and not by the decoder.
Password = Annotated[str, Meta(min_length=1, max_length=8192)]
Email = Annotated[
    str, Meta(min_length=3, max_length=320, description="name@domain", extra_json_schema={"format": "email"})
]
RefreshTokenText = Annotated[str, Meta(min_length=1, max_length=8192)]


class RegisterBody(msgspec.Struct, forbid_unknown_fields=True):
    email: Email
    password: Password
    full_name: FullName | None = None


class LoginBody(msgspec.Struct, forbid_unknown_fields=True):
    email: Email
    password: Password


class RefreshTokenBody(msgspec.Struct, forbid_unknown_fields=True):
    refresh_token: RefreshTokenText


class TokenPairBody(msgspec.Struct, kw_only=True):
    access_token: str
    token_type: str = "Bearer"
    expires_in: int
    refresh_token: str
    refresh_expires_in: int
    session_id: str


class RegisteredBody(TokenPairBody, kw_only=True):
    status: str = "active"
    user: UserBody


class VerificationRequiredBody(msgspec.Struct):
    status: str = "verification_required"


class PolicyBody(msgspec.Struct, kw_only=True):
    min_length: int
    max_bytes: int
    composition_rules: bool = False
    expires: bool = False


async def register(call: Call) -> Reply:
    body: RegisterBody = call.body
    outcome = await call.core.auth.register(
        email=body.email, password=body.password, full_name=body.full_name
    )
    if isinstance(outcome, VerificationRequired):
        return Reply(HTTPStatus.ACCEPTED, VerificationRequiredBody())
    registered = RegisteredBody(
        **msgspec.structs.asdict(_pair(outcome.token_pair)), user=UserBody.of(outcome.user)
    )
    return Reply(HTTPStatus.CREATED, registered)


async def login(call: Call) -> Reply:
    body: LoginBody = call.body
    pair = await call.core.auth.login(email=body.email, password=body.password)
    return Reply(body=_pair(pair))


async def refresh(call: Call) -> Reply:
    token = _credential(call)
    if token is None:
        raise RefreshRefused
    return Reply(body=_pair(await call.core.auth.refresh(token)))


async def logout(call: Call) -> Reply:
    token = _credential(call)
    if token is None:
        raise NotSignedIn
    if call.body is not None or token.startswith("rt_"):
        await call.core.auth.logout_with_refresh_token(token)
    else:
        identity = await call.core.auth.identify(token)
        await call.core.auth.logout(identity.caller.session_id)
    return Reply(HTTPStatus.NO_CONTENT)


async def logout_all(call: Call) -> Reply:
    await call.core.auth.logout_all(call.identity.caller)
    return Reply(HTTPStatus.NO_CONTENT)


async def policy(call: Call) -> Reply:
    minimum = call.settings.auth.password.min_length
    return Reply(body=PolicyBody(min_length=minimum, max_bytes=MAX_BYTES))


def _credential(call: Call) -> str | None:
    """The token in the header or in the body. Raises SeveralCredentials for both."""
    body: RefreshTokenBody | None = call.body
    bearer = call.bearer_token()
    if body is not None and bearer is not None:
        raise SeveralCredentials
    return bearer if body is None else body.refresh_token


def _pair(pair: TokenPair) -> TokenPairBody:
    return TokenPairBody(
        access_token=pair.access_token.reveal(),
        expires_in=pair.expires_in,
        refresh_token=pair.refresh_token.reveal(),
        refresh_expires_in=pair.refresh_expires_in,
        session_id=str(pair.session_id),
    )


ROUTES = (
    Route(
        method="POST",
        path="/api/v1/auth/register",
        handler=register,
        summary="Register",
        body=RegisterBody,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(
            Answer(HTTPStatus.CREATED, RegisteredBody, "The account is ready and signed in."),
            Answer(HTTPStatus.ACCEPTED, VerificationRequiredBody, "The address must be proven first."),
        ),
        requires=Register.requires,
        refuses=Register.refuses,
    ),
    Route(
        method="POST",
        path="/api/v1/auth/login",
        handler=login,
        summary="Sign in with e-mail address and password",
        body=LoginBody,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(Answer(HTTPStatus.OK, TokenPairBody, "Signed in."),),
        requires=Login.requires,
        refuses=Login.refuses,
    ),
    Route(
        method="POST",
        path="/api/v1/auth/refresh",
        handler=refresh,
        summary="Exchange a refresh token for the next pair",
        body=RefreshTokenBody,
        body_is_optional=True,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(Answer(HTTPStatus.OK, TokenPairBody, "The next pair."),),
        requires=Refresh.requires,
        refuses=(*Refresh.refuses, SeveralCredentials),
    ),
    Route(
        method="POST",
        path="/api/v1/auth/logout",
        handler=logout,
        summary="End this session",
        body=RefreshTokenBody,
        body_is_optional=True,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(Answer(HTTPStatus.NO_CONTENT, description="The session has ended."),),
        requires=Logout.requires,
        refuses=(*Logout.refuses, NotSignedIn, SeveralCredentials),
    ),
    Route(
        method="POST",
        path="/api/v1/auth/logout-all",
        handler=logout_all,
        summary="End every session of the caller",
        answers=(Answer(HTTPStatus.NO_CONTENT, description="All sessions have ended."),),
        requires=LogoutAll.requires,
    ),
    Route(
        method="GET",
        path="/api/v1/auth/policy",
        handler=policy,
        summary="The rules for new passwords",
        answers=(Answer(HTTPStatus.OK, PolicyBody, "The rules."),),
        requires=Access.PUBLIC,
    ),
)
