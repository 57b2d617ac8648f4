"""Cross-origin calls: which pages may read our answers (the Fetch standard's CORS protocol)."""

from collections.abc import Collection
from http import HTTPStatus

import msgspec
from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from keystead.api.rest.problems import MEDIA_TYPE, PreflightRefused, problem_of, status_of
from keystead.kernel.telemetry import current_request_id
from keystead.settings import Cors as CorsSettings


class Cors(CORSMiddleware):
    """Starlette's, for listed origins only and never with cookies; a refused preflight is a problem like any other."""

    def __init__(self, app: ASGIApp, settings: CorsSettings, *, methods: Collection[str]) -> None:
        super().__init__(
            app,
            allow_origins=settings.allowed_origins,
            allow_methods=methods,
            allow_headers=["authorization", "content-type", "x-request-id"],
            expose_headers=["retry-after", "x-request-id"],
            max_age=settings.max_age_secs,
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        response = super().preflight_response(request_headers)
        headers = {"cache-control": "no-store", "vary": response.headers["vary"]}
        if response.status_code == HTTPStatus.OK:
            response.headers.update(headers)
            return response
        problem = problem_of(PreflightRefused(), current_request_id() or "")
        return Response(
            msgspec.json.encode(problem), status_of(PreflightRefused).value, headers, media_type=MEDIA_TYPE
        )
