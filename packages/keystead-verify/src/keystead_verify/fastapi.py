"""FastAPI and Starlette: a dependency that gives the claims."""

from typing import Any, Unpack

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from keystead_verify.claims import Claims
from keystead_verify.errors import NotAllowed
from keystead_verify.guard import Asked, Guard
from keystead_verify.verifier import Verifier

try:
    from fastapi.openapi.models import HTTPBearer
    from fastapi.security.base import SecurityBase
except ImportError:  # Starlette alone
    HTTPBearer = SecurityBase = object  # type: ignore[assignment,misc]


class Refused(HTTPException):
    """A NotAllowed, as Starlette and FastAPI take it."""

    def __init__(self, refusal: NotAllowed) -> None:
        super().__init__(refusal.status, str(refusal), refusal.challenge)
        self.refusal = refusal


class Bearer(SecurityBase):
    """`Depends(Bearer(verifier))` is the claims of a token that holds; more is asked for by name:

    `Depends(Bearer(verifier, roles="admin", max_age=300))`. Called with a request it works in Starlette, too. FastAPI's
    API reference says of the route that it wants a token.
    """

    def __init__(self, verifier: Verifier, **asked: Unpack[Asked]) -> None:
        self._guard = Guard(verifier, **asked)
        self.model = HTTPBearer()
        self.scheme_name = "Access token"

    async def __call__(self, request: HTTPConnection) -> Claims:
        values = request.headers.getlist("authorization")
        try:
            return await self._guard.acheck(values[0] if len(values) == 1 else None)
        except NotAllowed as refusal:
            raise Refused(refusal) from refusal


def use_problems(app: Starlette) -> None:
    """From now on `app` answers refusals as application/problem+json (RFC 9457), instead of as its other errors."""
    app.add_exception_handler(Refused, _answer)


async def _answer(_request: Request, error: Any) -> Response:
    refusal: NotAllowed = error.refusal
    return Response(refusal.body, refusal.status, refusal.headers)
