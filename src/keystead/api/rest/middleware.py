"""The edge: what holds for every answer, whatever the route. Request id, headers, metrics, access log."""

import re
import secrets
from time import perf_counter
from typing import Any

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keystead.api.address import TrustedProxies
from keystead.api.rest.routes import ADDRESS, Drain
from keystead.kernel.telemetry import bind_request_id, observe_request

log = structlog.get_logger("http")

CALLER = "keystead.caller"  # who asks, in the ASGI scope, once that is proven
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_CLIENT_GONE = 499  # nobody was left to answer; nginx's number, which no answer has
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_ALWAYS: tuple[tuple[bytes, bytes], ...] = (
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
_API_POLICY = b"default-src 'none'; frame-ancestors 'none'"
_PAGE_POLICY = (
    b"default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


class Edge:
    """Wraps the whole application."""

    def __init__(self, app: ASGIApp, *, drain: Drain, proxies: TrustedProxies, legacy_headers: bool) -> None:
        self._app = app
        self._drain = drain
        self._proxies = proxies
        self._legacy = legacy_headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # no lifespan to speak of, and no WebSockets
            return
        started = perf_counter()
        headers = Headers(scope=scope)
        request_id = _request_id(headers)
        structlog.contextvars.clear_contextvars()
        bind_request_id(request_id)
        peer: Any = scope.get("client") or ("unix",)
        scope[ADDRESS] = self._proxies.client(peer[0], ",".join(headers.getlist(self._proxies.header)))
        status = _CLIENT_GONE

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *self._headers(message, request_id)]
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        finally:
            self._note(scope, status, perf_counter() - started)

    def _headers(self, message: Message, request_id: str) -> list[tuple[bytes, bytes]]:
        given = dict(message["headers"])
        policy = _PAGE_POLICY if b"text/html" in given.get(b"content-type", b"") else _API_POLICY
        headers = [
            *_ALWAYS,
            (b"x-xss-protection", b"1; mode=block" if self._legacy else b"0"),
            (b"x-request-id", request_id.encode()),
        ]
        if b"content-security-policy" not in given:
            headers.append((b"content-security-policy", b"default-src 'self'" if self._legacy else policy))
        if self._drain.is_draining:
            headers.append((b"connection", b"close"))
        return headers

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "OTHER"
        route = scope.get("keystead.route", "unmatched")
        observe_request(method, route, status, seconds)
        log.info(
            "request",
            method=method,
            route=route,
            status=status,
            ms=round(seconds * 1000, 2),
            address=scope[ADDRESS],
            **({"caller": str(scope[CALLER])} if CALLER in scope else {}),
        )


def _request_id(headers: Headers) -> str:
    """The caller's, if it is a harmless word; else the trace id of `traceparent` (W3C); else one like it."""
    given = headers.get("x-request-id", "")
    if _REQUEST_ID.fullmatch(given):
        return given
    trace = _TRACEPARENT.fullmatch(headers.get("traceparent", ""))
    return trace[1] if trace else secrets.token_hex(16)
