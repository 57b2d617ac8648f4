"""Flask: a decorator of views."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, Unpack

from flask import Response, current_app, g, request

from keystead_verify.claims import Claims
from keystead_verify.errors import NotAllowed
from keystead_verify.guard import Asked, Guard
from keystead_verify.verifier import Verifier

P = ParamSpec("P")
R = TypeVar("R")


def require_token(
    verifier: Verifier, **asked: Unpack[Asked]
) -> Callable[[Callable[P, R]], Callable[P, R | Response]]:
    """The view is called for who holds a token that meets what is asked; `claims()` are theirs."""
    guard = Guard(verifier, **asked)

    def decorate(view: Callable[P, R]) -> Callable[P, R | Response]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R | Response:
            try:
                g.keystead_claims = guard.check(request.headers.get("Authorization"))
            except NotAllowed as refusal:
                return Response(refusal.body, refusal.status, refusal.headers)
            answer: Any = current_app.ensure_sync(view)(*args, **kwargs)
            return answer  # type: ignore[no-any-return]

        return guarded

    return decorate


def claims() -> Claims:
    """Whose request it is; inside a view that requires a token."""
    found: Claims = g.keystead_claims
    return found
