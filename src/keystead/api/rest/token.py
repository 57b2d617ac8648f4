"""Routes for services: a token for a credential, what a token is worth, its end; and `/verify` for proxies."""

from http import HTTPStatus
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from keystead.api.rest.client_proof import ClientForm, proof_of
from keystead.api.rest.problems import (
    MalformedRequest,
    RequestTimeout,
    SeveralCredentials,
    UnsupportedGrantType,
)
from keystead.api.rest.routes import AUTH_BODY_BYTES, Answer, Call, Reply, Route
from keystead.auth.authenticate_client import InvalidClient
from keystead.auth.client_credentials import GrantClientCredentials
from keystead.auth.identity import Identity
from keystead.auth.introspect import Introspect, scope_of
from keystead.auth.revoke import RevokeToken
from keystead.jwt.jws import TokenRejected
from keystead.kernel.application import Application
from keystead.kernel.caller import Access, Caller, CredentialKind, NotSignedIn, PermissionMissing
from keystead.kernel.errors import InvalidInput
from keystead.limits.types import RouteClass

GRANT = "client_credentials"
SIGNED = "application/token-introspection+jwt"  # RFC 9701
# Of the characters that may stand in WWW-Authenticate (RFC 6750 §3).
Words = Annotated[str, Meta(pattern=r"^[!#-\[\]-~]+( [!#-\[\]-~]+)*$", max_length=2000)]


class TokenForm(ClientForm, kw_only=True):
    grant_type: str
    scope: str = ""


class TokenQuestionForm(ClientForm, kw_only=True):
    token: str
    token_type_hint: str = ""


class MachineTokenBody(msgspec.Struct, kw_only=True):
    access_token: str
    token_type: str = "Bearer"
    expires_in: int
    scope: str


class ActorBody(msgspec.Struct, kw_only=True):
    """RFC 8693 §4.1: who acts in the subject's name."""

    sub: str


class IntrospectionBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """RFC 7662 §2.2. Of a token that is not active nothing else is said."""

    active: bool
    iss: str | None = None
    sub: str | None = None
    aud: str | None = None
    client_id: str | None = None
    exp: int | None = None
    iat: int | None = None
    jti: str | None = None
    sid: str | None = None
    key_id: str | None = None
    scope: str | None = None
    roles: tuple[str, ...] | None = None
    token_type: str | None = None
    auth_time: int | None = None
    amr: tuple[str, ...] | None = None
    act: ActorBody | None = None


class VerifyQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """`audience`: whom the token must be for (the default application's). `scope`: words, all of which it must have.
    `role`: words, one of which it must have. One that is there and empty is a mistake of whoever asks, not a wish."""

    audience: Annotated[str, Meta(pattern="^[!-~]{1,256}$")] | None = None
    scope: Words | None = None
    role: Words | None = None


async def token(call: Call) -> Reply:
    form: TokenForm = call.body
    if form.grant_type != GRANT:
        raise UnsupportedGrantType
    made = await call.core.auth.grant_client_credentials(proof_of(call), scope=form.scope)
    body = MachineTokenBody(access_token=made.token.reveal(), expires_in=made.expires_in, scope=made.scope)
    return Reply(body=body, headers={"pragma": "no-cache"})


async def introspect(call: Call) -> Reply:
    form: TokenQuestionForm = call.body
    client, application = await _client(call)
    identity = await call.core.auth.introspect(client, application, form.token)
    body = _inactive() if identity is None else _active(call, identity)
    if _wants_signed(call):
        signed = call.core.auth.sign_introspection(client, msgspec.to_builtins(body))
        return Reply(body=signed, media_type=SIGNED)
    return Reply(body=body, cache_control=_caching(call, identity))


async def revoke(call: Call) -> Reply:
    form: TokenQuestionForm = call.body
    client, application = await _client(call)
    await call.core.auth.revoke_token(client, application, form.token)
    return Reply()


async def verify(call: Call) -> Reply:
    query: VerifyQuery = call.query
    identity = call.identity
    audience = call.core.applications.book.default.audience if query.audience is None else query.audience
    if identity.grant.audience != audience:
        raise NotSignedIn
    scope, roles = scope_of(identity), _roles(identity)
    if query.scope and (missing := sorted(set(query.scope.split()) - set(scope.split()))):
        raise PermissionMissing(permission=missing[0])
    if query.role and set(query.role.split()).isdisjoint(roles):
        raise PermissionMissing(role=query.role)
    caller = identity.caller
    is_session = caller.credential is CredentialKind.SESSION
    headers = {
        "x-auth-subject": str(caller.user_id),
        "x-auth-client-id": identity.grant.client_id,
        "x-auth-roles": ",".join(roles),
        "x-auth-scope": scope,
        "x-auth-credential": caller.credential.value,
        "x-auth-session": str(caller.session_id) if is_session else "",
        "vary": "Authorization",
    }
    return Reply(HTTPStatus.NO_CONTENT, headers=headers, cache_control=_caching(call, identity))


async def _client(call: Call) -> tuple[Caller, Application]:
    """The service that asks: by its credential, or by an access token that it got for it."""
    bearer, form = call.bearer_token(), call.body
    if bearer is not None and (form.client_secret or form.client_assertion):
        raise SeveralCredentials
    if bearer is None:
        client = await call.core.auth.authenticate_client(proof_of(call))
        return client.caller, client.application
    try:
        identity = await call.core.auth.identify(bearer)
    except TokenRejected:
        raise NotSignedIn from None
    if identity.caller.credential is not CredentialKind.SERVICE:
        raise NotSignedIn
    return identity.caller, identity.grant.application


def _inactive() -> IntrospectionBody:
    return IntrospectionBody(active=False)


def _active(call: Call, identity: Identity) -> IntrospectionBody:
    caller, grant = identity.caller, identity.grant
    is_session = caller.credential is CredentialKind.SESSION
    return IntrospectionBody(
        active=True,
        iss=call.settings.issuer,
        sub=str(caller.user_id),
        aud=grant.audience,
        client_id=grant.client_id,
        exp=int(grant.expires_at.timestamp()),
        iat=int(grant.issued_at.timestamp()),
        jti=grant.token_id,
        sid=str(caller.credential_id) if is_session else None,
        key_id=None if is_session else str(caller.credential_id),
        scope=scope_of(identity),
        roles=_roles(identity),
        token_type="Bearer",
        auth_time=int(caller.auth_time.timestamp()) if is_session and caller.auth_time else None,
        amr=grant.amr if is_session else None,
        act=ActorBody(sub=str(grant.actor_id)) if grant.actor_id else None,
    )


def _roles(identity: Identity) -> tuple[str, ...]:
    return identity.grant.application.claims.show(identity.grant.roles)


def _wants_signed(call: Call) -> bool:
    """Whether the signed form is among what is accepted. The plain one is for all who do not ask for it by name."""
    ranges = ",".join(call.request.headers.getlist("accept")).split(",")
    return SIGNED in {each.partition(";")[0].strip().lower() for each in ranges}


def _caching(call: Call, identity: Identity | None) -> str:
    """For a moment, and never beyond the token's end. What is not active may be by the next call."""
    seconds = call.settings.auth.introspection_cache_secs
    if identity is not None:
        left = (identity.grant.expires_at - identity.caller.now).total_seconds()
        seconds = min(seconds, max(0, int(left)))
    return "no-store" if identity is None or seconds == 0 else f"private, max-age={seconds}"


_CLIENT_REFUSALS: tuple[Any, ...] = (
    InvalidClient,
    InvalidInput,
    MalformedRequest,
    NotSignedIn,
    RequestTimeout,
    SeveralCredentials,
)

ROUTES = (
    Route(
        method="POST",
        path="/api/v1/auth/token",
        handler=token,
        summary="An access token for a service account (RFC 6749 §4.4)",
        body=TokenForm,
        body_is_form=True,
        max_body_bytes=AUTH_BODY_BYTES,
        speaks_oauth=True,
        answers=(Answer(HTTPStatus.OK, MachineTokenBody, "The token."),),
        requires=GrantClientCredentials.requires,
        limited_as=GrantClientCredentials.limited_as,
        refuses=(*GrantClientCredentials.refuses, UnsupportedGrantType, SeveralCredentials),
    ),
    Route(
        method="POST",
        path="/api/v1/auth/token/introspect",
        handler=introspect,
        summary="What a token is worth at this moment (RFC 7662)",
        body=TokenQuestionForm,
        body_is_form=True,
        max_body_bytes=AUTH_BODY_BYTES,
        speaks_oauth=True,
        answers=(
            Answer(HTTPStatus.OK, IntrospectionBody, "Whether it is active, and if so, what it says."),
            Answer(HTTPStatus.OK, str, "The same, signed (RFC 9701).", SIGNED),
        ),
        requires=Introspect.requires,
        limited_as=Introspect.limited_as,
        refuses=(*Introspect.refuses, *_CLIENT_REFUSALS),
    ),
    Route(
        method="POST",
        path="/api/v1/auth/token/revoke",
        handler=revoke,
        summary="End a token (RFC 7009)",
        body=TokenQuestionForm,
        body_is_form=True,
        max_body_bytes=AUTH_BODY_BYTES,
        speaks_oauth=True,
        answers=(Answer(HTTPStatus.OK, description="It counts no more, if it ever did."),),
        requires=RevokeToken.requires,
        limited_as=RevokeToken.limited_as,
        refuses=(*RevokeToken.refuses, *_CLIENT_REFUSALS),
    ),
    Route(
        method="GET",
        path="/verify",
        handler=verify,
        summary="Whether a request's token holds, for a proxy that asks (nginx `auth_request`)",
        query=VerifyQuery,
        answers=(
            Answer(HTTPStatus.NO_CONTENT, description="It holds: who it is stands in X-Auth-… headers."),
        ),
        requires=Access.BEARER,
        limited_as=RouteClass.VERIFY,
        refuses=(PermissionMissing, NotSignedIn),
    ),
)
