"""FastAPI and Starlette: a dependency that gives the claims."""

from collections.abc import Iterable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from keystead_verify.claims import Claims
from keystead_verify.errors import NotAllowed
from keystead_verify.requirement import Requirement, bearer_token, headers_of, problem_of
from keystead_verify.verifier import Verifier


class Bearer:
    """`Depends(Bearer(verifier))` is the claims of a token that holds; more is asked for by name:

    `Depends(Bearer(verifier, roles="admin", max_age=300))`. Called with a request it works in Starlette, too. Refuses
    with 401, 403 or 503 and the headers of RFC 6750.
    """

    def __init__(
        self,
        verifier: Verifier,
        *,
        scope: str | Iterable[str] = (),
        roles: str | Iterable[str] = (),
        max_age: int | None = None,
    ) -> None:
        self._verifier = verifier
        self._requirement = Requirement.of(scope, roles, max_age)

    async def __call__(self, request: HTTPConnection) -> Claims:
        try:
            values = request.headers.getlist("authorization")
            token = bearer_token(values[0] if len(values) == 1 else None)
            claims = await self._verifier.averify(token)
            return self._requirement.check(claims, now=self._verifier.now())
        except NotAllowed as refusal:
            detail: Any = problem_of(refusal)
            raise HTTPException(refusal.status, detail, headers_of(refusal)) from refusal
