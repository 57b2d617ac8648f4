"""Cross-origin calls: which pages may read our answers (the Fetch standard's CORS protocol)."""

from collections.abc import Collection
from http import HTTPStatus

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Send

from keystead.api.rest.problems import MEDIA_TYPE, PreflightRefused, problem_of, status_of
from keystead.applications.book import Applications
from keystead.kernel.telemetry import current_request_id

_CREDENTIALS = "access-control-allow-credentials"


class Cors(CORSMiddleware):
    """Starlette's, for the origins of applications and those that are `always` allowed; a refused preflight is a
    problem like any other.

    Cookies are for the origins of applications in cookie mode alone.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        applications: Applications,
        always: frozenset[str],
        methods: Collection[str],
        max_age: int,
    ) -> None:
        super().__init__(
            app,
            allow_methods=methods,
            allow_headers=[
                "authorization",
                "content-type",
                "idempotency-key",
                "if-match",
                "x-challenge-response",
                "x-client-id",
                "x-csrf-token",
                "x-device-token",
                "x-request-id",
            ],
            expose_headers=[
                "etag",
                "ratelimit",
                "ratelimit-policy",
                "retry-after",
                "x-device-token",
                "x-request-id",
            ],
            max_age=max_age,
        )
        self._applications = applications
        self._always = always

    def is_allowed_origin(self, origin: str) -> bool:
        return origin in self._always or origin in self._applications.origins

    async def send(self, message: Message, send: Send, request_headers: Headers) -> None:
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            headers = MutableHeaders(scope=message)
            if not self.is_allowed_origin(request_headers.get("origin", "")):
                headers.add_vary_header("Origin")
                await send(message)
                return
            if self._takes_cookies(request_headers):
                headers[_CREDENTIALS] = "true"
        await super().send(message, send, request_headers)

    def _takes_cookies(self, headers: Headers) -> bool:
        return headers.get("origin") in self._applications.origins_with_cookies

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        headers = {"cache-control": "no-store", "vary": response.headers["vary"]}
        if response.status_code == HTTPStatus.OK:
            response.headers.update(headers)
            if self._takes_cookies(request_headers):
                response.headers[_CREDENTIALS] = "true"
            return response
        problem = problem_of(PreflightRefused(), current_request_id() or "")
        return Response(
            msgspec.json.encode(problem), status_of(PreflightRefused).value, headers, media_type=MEDIA_TYPE
        )
