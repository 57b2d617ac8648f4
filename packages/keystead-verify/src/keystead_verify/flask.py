"""Flask: a decorator of views."""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import ParamSpec, TypeVar

from flask import Response, g, request

from keystead_verify.claims import Claims
from keystead_verify.errors import NotAllowed
from keystead_verify.requirement import Requirement, bearer_token, headers_of, problem_bytes
from keystead_verify.verifier import Verifier

P = ParamSpec("P")
R = TypeVar("R")


def require_token(
    verifier: Verifier,
    *,
    scope: str | Iterable[str] = (),
    roles: str | Iterable[str] = (),
    max_age: int | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R | Response]]:
    """The view is called for who holds a token that meets the requirement; `claims()` are theirs."""
    requirement = Requirement.of(scope, roles, max_age)

    def decorate(view: Callable[P, R]) -> Callable[P, R | Response]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R | Response:
            try:
                found = verifier.verify(bearer_token(request.headers.get("Authorization")))
                g.keystead_claims = requirement.check(found, now=verifier.now())
            except NotAllowed as refusal:
                return Response(
                    problem_bytes(refusal),
                    refusal.status,
                    {**headers_of(refusal), "Cache-Control": "no-store"},
                    content_type="application/problem+json",
                )
            return view(*args, **kwargs)

        return guarded

    return decorate


def claims() -> Claims:
    """Whose request it is; inside a view that requires a token."""
    found: Claims = g.keystead_claims
    return found
