"""Cross-origin calls: which pages may read our answers (the Fetch standard's CORS protocol)."""

from collections.abc import Collection
from http import HTTPStatus

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Send

from keystead.api.rest.problems import MEDIA_TYPE, PreflightRefused, problem_of, status_of
from keystead.kernel.telemetry import current_request_id

_CREDENTIALS = "access-control-allow-credentials"


class Cors(CORSMiddleware):
    """Starlette's, for listed origins only; a refused preflight is a problem like any other.

    Cookies are for the origins of applications in cookie mode alone (`with_cookies`).
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        origins: Collection[str],
        with_cookies: Collection[str],
        methods: Collection[str],
        max_age: int,
    ) -> None:
        super().__init__(
            app,
            allow_origins=sorted(origins),
            allow_methods=methods,
            allow_headers=[
                "authorization",
                "content-type",
                "idempotency-key",
                "if-match",
                "x-client-id",
                "x-csrf-token",
                "x-request-id",
            ],
            expose_headers=["etag", "retry-after", "x-request-id"],
            max_age=max_age,
        )
        self._with_cookies = frozenset(with_cookies)

    async def send(self, message: Message, send: Send, request_headers: Headers) -> None:
        if message["type"] == "http.response.start" and request_headers.get("origin") in self._with_cookies:
            message.setdefault("headers", [])
            MutableHeaders(scope=message)[_CREDENTIALS] = "true"
        await super().send(message, send, request_headers)

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        headers = {"cache-control": "no-store", "vary": response.headers["vary"]}
        if response.status_code == HTTPStatus.OK:
            response.headers.update(headers)
            if request_headers["origin"] in self._with_cookies:
                response.headers[_CREDENTIALS] = "true"
            return response
        problem = problem_of(PreflightRefused(), current_request_id() or "")
        return Response(
            msgspec.json.encode(problem), status_of(PreflightRefused).value, headers, media_type=MEDIA_TYPE
        )
