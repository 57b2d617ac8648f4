"""Routes that describe the service: keys, discovery, OpenAPI, and the pages for people."""

from http import HTTPStatus

import msgspec

from keystead.api.rest import docs, token
from keystead.api.rest.client_proof import METHODS
from keystead.api.rest.problems import RouteNotFound
from keystead.api.rest.routes import Answer, Call, Reply, Route
from keystead.jwt.read_key_set import ReadKeySet
from keystead.jwt.types import Algorithm
from keystead.kernel.caller import Access
from keystead.limits.types import RouteClass

TOKEN_PATH = "/api/v1/auth/token"
_PAGE = "text/html; charset=utf-8"


class DiscoveryBody(msgspec.Struct):
    """Only what works (RFC 8414 §2, OpenID Connect Discovery §3)."""

    issuer: str
    jwks_uri: str
    token_endpoint: str
    introspection_endpoint: str
    revocation_endpoint: str
    grant_types_supported: tuple[str, ...]
    response_types_supported: tuple[str, ...]
    token_endpoint_auth_methods_supported: tuple[str, ...]
    token_endpoint_auth_signing_alg_values_supported: tuple[str, ...]
    introspection_endpoint_auth_methods_supported: tuple[str, ...]
    introspection_endpoint_auth_signing_alg_values_supported: tuple[str, ...]
    revocation_endpoint_auth_methods_supported: tuple[str, ...]
    revocation_endpoint_auth_signing_alg_values_supported: tuple[str, ...]


class JwksBody(msgspec.Struct):
    """RFC 7517 §5."""

    keys: list[dict[str, str]]


async def jwks(call: Call) -> Reply:
    return Reply(body=msgspec.Raw(call.core.keys.read_set()), cache_control="public, max-age=30")


async def discovery(call: Call) -> Reply:
    base = call.settings.public_url
    body = DiscoveryBody(
        issuer=call.settings.issuer,
        jwks_uri=f"{base}/.well-known/jwks.json",
        token_endpoint=f"{base}{TOKEN_PATH}",
        introspection_endpoint=f"{base}{TOKEN_PATH}/introspect",
        revocation_endpoint=f"{base}{TOKEN_PATH}/revoke",
        grant_types_supported=(token.GRANT,),
        response_types_supported=(),
        token_endpoint_auth_methods_supported=METHODS,
        token_endpoint_auth_signing_alg_values_supported=tuple(Algorithm),
        introspection_endpoint_auth_methods_supported=(*METHODS, "Bearer"),
        introspection_endpoint_auth_signing_alg_values_supported=tuple(Algorithm),
        revocation_endpoint_auth_methods_supported=METHODS,
        revocation_endpoint_auth_signing_alg_values_supported=tuple(Algorithm),
    )
    return Reply(body=body, cache_control="public, max-age=30")


async def openapi(call: Call) -> Reply:
    return Reply(body=call.documents.openapi, cache_control="public, max-age=300")


async def index(call: Call) -> Reply:
    return Reply(body=call.documents.index, media_type=_PAGE)


async def error_page(call: Call) -> Reply:
    page = docs.error_page(call.request.path_params["code"])
    if page is None:
        raise RouteNotFound
    return Reply(body=page, media_type=_PAGE)


async def stylesheet(_call: Call) -> Reply:
    return Reply(
        body=docs.STYLESHEET, media_type="text/css; charset=utf-8", cache_control="public, max-age=300"
    )


ROUTES = (
    Route(
        method="GET",
        path="/.well-known/jwks.json",
        handler=jwks,
        summary="Public keys of access tokens (RFC 7517)",
        answers=(Answer(HTTPStatus.OK, JwksBody, "The key set."),),
        requires=ReadKeySet.requires,
        limited_as=RouteClass.FREE,
    ),
    Route(
        method="GET",
        path="/.well-known/openid-configuration",
        handler=discovery,
        summary="Where things are",
        answers=(Answer(HTTPStatus.OK, DiscoveryBody, "The metadata."),),
        requires=Access.PUBLIC,
        limited_as=RouteClass.FREE,
    ),
    Route(
        method="GET",
        path="/openapi.json",
        handler=openapi,
        summary="This description",
        answers=(Answer(HTTPStatus.OK, dict, "OpenAPI 3.1."),),
        requires=Access.PUBLIC,
        limited_as=RouteClass.FREE,
    ),
    Route(
        method="GET",
        path="/docs",
        handler=index,
        summary="This description, for people",
        answers=(Answer(HTTPStatus.OK, str, "A page.", "text/html"),),
        requires=Access.PUBLIC,
        limited_as=RouteClass.FREE,
    ),
    Route(
        method="GET",
        path="/docs/style.css",
        handler=stylesheet,
        summary="The stylesheet of the pages",
        answers=(Answer(HTTPStatus.OK, str, "A stylesheet.", "text/css"),),
        requires=Access.PUBLIC,
        limited_as=RouteClass.FREE,
    ),
    Route(
        method="GET",
        path="/docs/errors/{code}",
        handler=error_page,
        summary="What a problem's code means",
        answers=(Answer(HTTPStatus.OK, str, "A page.", "text/html"),),
        refuses=(RouteNotFound,),
        requires=Access.PUBLIC,
        limited_as=RouteClass.FREE,
    ),
)
