"""The ASGI application: finds the declared route, identifies the caller, decodes, calls the handler, encodes."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from http import HTTPStatus
from math import ceil
from typing import Any

import msgspec
import structlog
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.routing import Route as PathRoute
from starlette.routing import Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keystead.api.address import ForwardedBy, TrustedProxies
from keystead.api.rest import docs, openapi
from keystead.api.rest.catalogue import ROUTES
from keystead.api.rest.cookies import CookieRules
from keystead.api.rest.cors import Cors
from keystead.api.rest.decoding import decode, decode_form, decode_query, read_body, require_media_type
from keystead.api.rest.middleware import CALLER, Edge
from keystead.api.rest.oauth_errors import oauth_problem_of, oauth_status_of
from keystead.api.rest.problems import (
    MEDIA_TYPE,
    CredentialInUrl,
    InternalError,
    MalformedRequest,
    MethodNotAllowed,
    RequestTimeout,
    RouteNotFound,
    headers_of,
    problem_of,
    status_of,
)
from keystead.api.rest.routes import ADDRESS, PERMIT, Call, Documents, Drain, Reply, Route
from keystead.auth.identity import Identity
from keystead.core import Core
from keystead.jwt.jws import TokenRejected
from keystead.kernel.caller import Access, AnyOf, Caller, NotSignedIn, OwnScope, Permission
from keystead.kernel.errors import Refusal
from keystead.kernel.telemetry import current_request_id
from keystead.limits.limiter import Permit
from keystead.limits.lists.types import AddressDenied, Verdict
from keystead.limits.types import RouteClass, Standing
from keystead.settings import Settings

log = structlog.get_logger("http")

_CREDENTIAL_NAMES = frozenset(
    {
        *("access_token", "refresh_token", "token", "id_token", "api_key", "password"),
        *("secret", "client_secret", "client_assertion"),
    }
)
_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?", re.ASCII)
_PLAIN_PATH = re.compile(rb"[A-Za-z0-9/._-]+")


def rest_app(core: Core, settings: Settings, drain: Drain) -> ASGIApp:
    """The whole REST transport over `core`."""
    by_path: dict[str, dict[str, Route]] = defaultdict(dict)
    for route in ROUTES:
        by_path[route.path][route.method] = route
    environment = Environment(core, settings, drain)
    app: ASGIApp = Router(
        routes=[PathRoute(path, PathApp(path, methods, environment)) for path, methods in by_path.items()],
        default=PathApp("unmatched", {}, environment),
        redirect_slashes=False,
    )
    app = Cors(
        app,
        applications=core.applications.book,
        always=frozenset(settings.cors.allowed_origins),
        methods=sorted({route.method for route in ROUTES}),
        max_age=settings.cors.max_age_secs,
    )
    return Edge(
        app,
        drain=drain,
        proxies=TrustedProxies(
            settings.server.trusted_proxies, ForwardedBy(settings.server.forwarded_header)
        ),
        legacy_headers=settings.security_headers.legacy,
    )


class Environment:
    """What every call carries."""

    __slots__ = ("cookies", "core", "documents", "drain", "settings")

    def __init__(self, core: Core, settings: Settings, drain: Drain) -> None:
        self.core = core
        self.settings = settings
        self.drain = drain
        self.cookies = CookieRules(
            core.applications.book,
            own_origin=_origin_of(settings.public_url),
            same_site=settings.cookies.same_site,
        )
        self.documents = _documents()


@cache
def _documents() -> Documents:
    """The same for every application of a process."""
    return Documents(msgspec.json.encode(openapi.document(ROUTES)), docs.index(ROUTES).encode())


class PathApp:
    """One path: picks the route by method, turns what is raised into a problem. Without methods nothing is there."""

    def __init__(self, path: str, methods: dict[str, Route], environment: Environment) -> None:
        self._path = path
        self._methods = methods
        self._is_health = any(route.is_health for route in methods.values())
        self._allow = ", ".join(_with_head(methods))
        self._environment = environment

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["keystead.route"] = self._path
        request = Request(scope, receive)
        try:
            async with asyncio.timeout(self._environment.settings.server.request_timeout_secs):
                reply = await self._reply(request)
        except Refusal as refusal:
            reply = self._refuse(request, refusal)
        except TimeoutError:
            reply = self._refuse(request, RequestTimeout())
        except ClientDisconnect:
            return
        except Exception:
            log.exception("request.failed")
            reply = self._refuse(request, InternalError())
        for message in _encode(reply, scope.get(PERMIT)):
            await send(message)

    def _refuse(self, request: Request, refusal: Refusal) -> Reply:
        route = self._methods.get(request.method)
        encode = refuse_oauth if route is not None and route.speaks_oauth else refuse
        scheme = request.headers.get("authorization", "").partition(" ")[0]
        return encode(refusal, with_token=scheme.lower() == "bearer")

    async def _reply(self, request: Request) -> Reply:
        verdict = self._judge_address(request)
        _check_edges(request)
        if not self._methods:
            raise RouteNotFound
        route = self._methods.get("GET" if request.method == "HEAD" else request.method)
        if route is None:
            raise MethodNotAllowed(allow=self._allow)
        env = self._environment
        call = Call(request, env.core, env.settings, env.drain, env.documents, env.cookies, route)
        if route.require_room is not None:
            route.require_room(call)
        if route.limit_class is RouteClass.FREE or verdict is Verdict.ALLOWED:
            return await self._answer(call)
        answer = request.headers.get("x-challenge-response")
        permit = request.scope[PERMIT] = Permit(route.limit_class, request.scope[ADDRESS], answer)
        await env.core.limiter.admit(permit)
        succeeded: bool | None = None
        try:
            reply = await self._answer(call, permit)
        except Refusal as refusal:
            if status_of(type(refusal)) is HTTPStatus.UNAUTHORIZED:
                succeeded = False
            raise
        else:
            succeeded = True
            return reply
        finally:
            await env.core.limiter.settle(permit, succeeded=succeeded)

    def _judge_address(self, request: Request) -> Verdict:
        """Raises AddressDenied."""
        verdict = self._environment.core.networks.book.judge(request.scope[ADDRESS])
        if verdict is Verdict.DENIED and not self._is_health:
            raise AddressDenied
        return verdict

    async def _answer(self, call: Call, permit: Permit | None = None) -> Reply:
        route, env = call.route, self._environment
        if route.needs_identity:
            call.identified = await _identify(call)
            caller = call.identified.caller
            if permit is not None:
                await env.core.limiter.admit_caller(
                    permit, user_id=str(caller.user_id), client_id=call.identified.grant.client_id
                )
            _admit(caller, route)
        if route.query is not None:
            call.query = decode_query(call.request.query_params.multi_items(), route.query)
        if route.body is not None:
            await _read_body(call, env.settings)
        return await route.handler(call)


def refuse(refusal: Refusal, *, with_token: bool = False) -> Reply:
    """A refusal as a problem."""
    kind = type(refusal)
    if kind is TokenRejected:  # why a token was rejected is ours to know
        refusal = NotSignedIn()
    return Reply(
        status_of(kind),
        problem_of(refusal, current_request_id() or ""),
        media_type=MEDIA_TYPE,
        headers=headers_of(refusal, with_token=with_token),
    )


def refuse_oauth(refusal: Refusal, *, with_token: bool = False) -> Reply:
    """A refusal as clients of OAuth expect it (RFC 6749 §5.2)."""
    return Reply(
        oauth_status_of(type(refusal)),
        oauth_problem_of(refusal, current_request_id() or ""),
        headers=headers_of(refusal, with_token=with_token),
    )


async def _identify(call: Call) -> Identity:
    token = call.bearer_token()
    if token is None:
        raise NotSignedIn
    identity = await call.core.auth.identify(token)
    call.request.scope[CALLER] = identity.caller.user_id
    return identity


def _admit(caller: Caller, route: Route) -> None:
    """What the verb asks for first, asked before a byte of the body is read."""
    match route.requires:
        case Access.SIGNED_IN:
            caller.require_session()
        case OwnScope() as scope:
            caller.require_own(scope)
        case Permission() as permission:
            caller.require(permission)
        case AnyOf(permissions=permissions) if not any(map(caller.may, permissions)):
            caller.require(permissions[0])
        case _:
            pass


async def _read_body(call: Call, settings: Settings) -> None:
    route = call.route
    data = await read_body(call.request, max_bytes=route.max_body_bytes or settings.server.max_request_size)
    if route.body is None or (route.body_is_optional and not data):
        return
    require_media_type(call.request, route.media_types)
    call.raw_body = data
    if route.body_is_form:
        call.body = decode_form(data, route.body)
    else:
        call.body = decode(data, route.body, text=route.text_body)


def _check_edges(request: Request) -> None:
    """What must be refused before anybody looks at the request: a Host that is none, a credential in the URL, a path
    in another spelling (no path of ours needs an escape, and what stands before us judges by the plain one)."""
    hosts = request.headers.getlist("host")
    if len(hosts) != 1 or not _HOST.fullmatch(hosts[0]):
        raise MalformedRequest(detail="The Host header is missing, doubled or malformed.")
    query = request.scope["query_string"]
    if query and not _CREDENTIAL_NAMES.isdisjoint(name.lower() for name in QueryParams(query)):
        raise CredentialInUrl
    if not _PLAIN_PATH.fullmatch(request.scope["raw_path"]):
        raise RouteNotFound


def _encode(reply: Reply, permit: Permit | None = None) -> tuple[Message, Message]:
    """The answer in ASGI's two messages."""
    headers = [
        (b"cache-control", reply.cache_control.encode()),
        *((name.encode(), value.encode()) for name, value in reply.headers.items()),
    ]
    if reply.also_cookie is not None:
        headers.append((b"set-cookie", reply.also_cookie.encode()))
    if permit is not None and permit.standing is not None:
        headers += _standing(permit.standing)
    body = b""
    if reply.body is not None:  # without one there is no length to tell either (RFC 9110 §8.6)
        body = _bytes_of(reply.body)
        headers.append((b"content-type", reply.media_type.encode()))
        headers.append((b"content-length", str(len(body)).encode()))
    return (
        {"type": "http.response.start", "status": reply.status.value, "headers": headers},
        {"type": "http.response.body", "body": body},
    )


def _bytes_of(body: Any) -> bytes:
    """Bytes as they are: of what is the same for everybody, all who do not take it hold one copy together."""
    match body:
        case bytes():
            return body
        case str():
            return body.encode()
        case _:
            return msgspec.json.encode(body)


def _standing(standing: Standing) -> Iterator[tuple[bytes, bytes]]:
    """`RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10)."""
    rule = standing.rule
    yield b"ratelimit-policy", f'"{rule.name}";q={rule.limit};w={ceil(rule.window)}'.encode()
    yield b"ratelimit", f'"{rule.name}";r={standing.remaining};t={ceil(standing.full_in)}'.encode()


def _origin_of(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def _with_head(methods: Iterable[str]) -> list[str]:
    return sorted({*methods, "HEAD"} if "GET" in methods else {*methods})
