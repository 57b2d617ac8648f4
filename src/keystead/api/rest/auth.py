"""Routes of `/api/v1/auth`: register, login, refresh, logout, reauthenticate, policy, CSRF token."""

from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta

from keystead.api.rest.bodies import ClientId, Email, FullName, Password, TokenPairBody, UserBody
from keystead.api.rest.cookies import DEVICE_HEADER, RefreshCookie
from keystead.api.rest.problems import CsrfRefused, OriginRefused, SeveralCredentials
from keystead.api.rest.routes import AUTH_BODY_BYTES, Answer, Call, Reply, Route
from keystead.auth.login import Login
from keystead.auth.logout import Logout, LogoutAll
from keystead.auth.reauthenticate import Reauthenticate
from keystead.auth.refresh import Refresh
from keystead.auth.refusals import RefreshRefused
from keystead.auth.register import Register, VerificationRequired
from keystead.auth.token_pair import TokenPair
from keystead.kernel.caller import Access, NotSignedIn
from keystead.users.passwords import MAX_BYTES

RefreshTokenText = Annotated[str, Meta(min_length=1, max_length=8192)]

# What a browser keeps of the pages of this origin; not its cookies, which other services of the domain may own.
_CLEAR = '"cache", "storage"'


class RegisterBody(msgspec.Struct, forbid_unknown_fields=True):
    email: Email
    password: Password
    full_name: FullName | None = None
    client_id: ClientId | None = None


class LoginBody(msgspec.Struct, forbid_unknown_fields=True):
    email: Email
    password: Password
    client_id: ClientId | None = None


class ReauthenticateBody(msgspec.Struct, forbid_unknown_fields=True):
    password: Password


class RefreshTokenBody(msgspec.Struct, forbid_unknown_fields=True):
    refresh_token: RefreshTokenText


class RegisteredBody(TokenPairBody, kw_only=True):
    status: str = "active"
    user: UserBody


class VerificationRequiredBody(msgspec.Struct):
    status: str = "verification_required"


class PolicyBody(msgspec.Struct, kw_only=True):
    """Known passwords are refused always. `composition_rules`: letters and digits, both. `min_score`: zxcvbn's."""

    min_length: int
    max_bytes: int
    min_score: int
    composition_rules: bool
    known_passwords: bool = False
    expires: bool = False


class CsrfBody(msgspec.Struct):
    csrf_token: str


async def register(call: Call) -> Reply:
    body: RegisterBody = call.body
    await _require_origin(call, body.client_id)
    outcome = await call.core.auth.register(
        email=body.email,
        password=body.password,
        full_name=body.full_name,
        origin=call.origin,
        client_id=body.client_id,
    )
    if isinstance(outcome, VerificationRequired):
        return Reply(HTTPStatus.ACCEPTED, VerificationRequiredBody())
    pair, headers = _pair(call, outcome.token_pair)
    registered = RegisteredBody(**msgspec.structs.asdict(pair), user=UserBody.of(outcome.user))
    return Reply(HTTPStatus.CREATED, registered, headers=headers)


def require_room_to_register(call: Call) -> None:
    call.core.auth.register.require_room()


def require_room_to_log_in(call: Call) -> None:
    """Whether a device token is one shows later."""
    shows_device = call.cookies.device_token(call.request.headers) is not None
    call.core.auth.login.require_room(may_be_known=shows_device)


async def login(call: Call) -> Reply:
    body: LoginBody = call.body
    await _require_origin(call, body.client_id)
    signed_in = await call.core.auth.login(
        email=body.email,
        password=body.password,
        origin=call.origin,
        client_id=body.client_id,
        device_token=call.cookies.device_token(call.request.headers),
    )
    reply = _reply(call, signed_in.token_pair)
    device_token = signed_in.device_token.reveal()
    if "set-cookie" not in reply.headers:
        return replace(reply, headers={DEVICE_HEADER: device_token})
    # Where the refresh token is in a cookie, so is this.
    return replace(reply, also_cookie=call.cookies.set_device(device_token))


async def refresh(call: Call) -> Reply:
    sent = _credential(call)
    if sent.token is None:
        raise RefreshRefused
    # Answered as it was asked: whoever holds the token itself is told the next one, and no cookie is planted.
    if sent.cookie is None:
        return Reply(body=TokenPairBody.of(await call.core.auth.refresh(sent.token)))
    # A cookie holds a token of its own application, or was planted.
    return _reply(call, await call.core.auth.refresh(sent.token, client_id=sent.cookie.application.client_id))


async def logout(call: Call) -> Reply:
    sent = _credential(call)
    if sent.token is None:
        raise NotSignedIn
    if sent.may_be_access_token and not sent.token.startswith("rt_"):
        identity = await call.core.auth.identify(sent.token)
        await call.core.auth.logout(identity.caller.session_id)
    else:
        await call.core.auth.logout_with_refresh_token(sent.token)
    if sent.cookie is None:
        return Reply(HTTPStatus.NO_CONTENT)
    headers = {"set-cookie": call.cookies.clear(sent.cookie.application), "clear-site-data": _CLEAR}
    return Reply(HTTPStatus.NO_CONTENT, headers=headers)


async def logout_all(call: Call) -> Reply:
    await call.core.auth.logout_all(call.identity.caller)
    return Reply(HTTPStatus.NO_CONTENT)


async def reauthenticate(call: Call) -> Reply:
    body: ReauthenticateBody = call.body
    token = call.bearer_token()
    if token is None:
        raise NotSignedIn
    pair = await call.core.auth.reauthenticate(token, password=body.password, origin=call.origin)
    return _reply(call, pair)


async def policy(call: Call) -> Reply:
    rules = call.settings.auth.password
    return Reply(
        body=PolicyBody(
            min_length=rules.min_length,
            max_bytes=MAX_BYTES,
            min_score=rules.min_score,
            composition_rules=rules.profile == "pci",
        )
    )


async def csrf(call: Call) -> Reply:
    cookie = call.cookies.find(call.request.headers)
    session_id = None if cookie is None else call.core.auth.csrf.session_of(cookie.token)
    if session_id is None:
        raise RefreshRefused
    return Reply(body=CsrfBody(call.core.auth.csrf.make(session_id).reveal()))


@dataclass(frozen=True, slots=True)
class _Sent:
    """A token, if there is one, and the cookie that it came in, if it did. In the body or in a cookie it can only be a
    refresh token."""

    token: str | None
    cookie: RefreshCookie | None = None
    may_be_access_token: bool = False


def _credential(call: Call) -> _Sent:
    """The one token, from the header, the body or the cookie.

    Raises SeveralCredentials; OriginRefused and CsrfRefused for a cookie.
    """
    body: RefreshTokenBody | None = call.body
    bearer = call.bearer_token()
    cookie = call.cookies.find(call.request.headers)
    if sum(given is not None for given in (body, bearer, cookie)) > 1:
        raise SeveralCredentials
    if cookie is not None:
        call.require_csrf(cookie)
        return _Sent(cookie.token, cookie)
    return _Sent(bearer, may_be_access_token=True) if body is None else _Sent(body.refresh_token)


async def _require_origin(call: Call, client_id: str | None) -> None:
    """A foreign page may not sign its visitor in to an account of its own choice. Raises OriginRefused."""
    application = await call.core.applications.book.choose(client_id)
    if application.uses_cookies:
        call.cookies.require_origin(application, call.request.headers)


def _reply(call: Call, pair: TokenPair) -> Reply:
    body, headers = _pair(call, pair)
    return Reply(body=body, headers=headers)


def _pair(call: Call, pair: TokenPair) -> tuple[TokenPairBody, dict[str, str]]:
    """As the session's application takes it: in the answer, or with the refresh token in a cookie.

    Raises OriginRefused where a page of another origin would get its visitor a cookie.
    """
    application = call.core.applications.book.of(pair.client_id)
    if not application.uses_cookies:
        return TokenPairBody.of(pair), {}
    call.cookies.require_origin(application, call.request.headers)
    cookie = call.cookies.set(application, pair.refresh_token.reveal(), max_age=pair.refresh_expires_in)
    return TokenPairBody.of(pair, in_cookie=True), {"set-cookie": cookie}


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
        limited_as=Register.limited_as,
        require_room=require_room_to_register,
        refuses=(*Register.refuses, OriginRefused),
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
        limited_as=Login.limited_as,
        require_room=require_room_to_log_in,
        refuses=(*Login.refuses, OriginRefused),
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
        limited_as=Refresh.limited_as,
        refuses=(*Refresh.refuses, SeveralCredentials, OriginRefused, CsrfRefused),
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
        refuses=(*Logout.refuses, NotSignedIn, SeveralCredentials, OriginRefused, CsrfRefused),
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
        method="POST",
        path="/api/v1/auth/reauthenticate",
        handler=reauthenticate,
        summary="Prove once more who you are: a new session takes the place of this one",
        body=ReauthenticateBody,
        max_body_bytes=AUTH_BODY_BYTES,
        answers=(Answer(HTTPStatus.OK, TokenPairBody, "The pair of the new session."),),
        requires=Reauthenticate.requires,
        limited_as=Reauthenticate.limited_as,
        refuses=(*Reauthenticate.refuses, SeveralCredentials, OriginRefused),
    ),
    Route(
        method="GET",
        path="/api/v1/auth/policy",
        handler=policy,
        summary="The rules for new passwords",
        answers=(Answer(HTTPStatus.OK, PolicyBody, "The rules."),),
        requires=Access.PUBLIC,
    ),
    Route(
        method="GET",
        path="/api/v1/auth/csrf",
        handler=csrf,
        summary="The CSRF token of the session in the cookie",
        answers=(Answer(HTTPStatus.OK, CsrfBody, "Send it as X-CSRF-Token."),),
        requires=Access.REFRESH_COOKIE,
        refuses=(RefreshRefused, OriginRefused, SeveralCredentials),
    ),
)
