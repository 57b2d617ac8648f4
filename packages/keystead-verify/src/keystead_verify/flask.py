"""Flask: a decorator of views."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, Unpack, cast

from flask import Response, current_app, g, request

from keystead_verify.claims import Claims
from keystead_verify.errors import NotAllowed
from keystead_verify.guard import Asked, Guard
from keystead_verify.verifier import Verifier

View = TypeVar("View", bound=Callable[..., Any])


def require_token(verifier: Verifier, **asked: Unpack[Asked]) -> Callable[[View], View]:
    """The view is called for who holds a token that meets what is asked; `claims()` are theirs."""
    guard = Guard(verifier, **asked)

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            try:
                g.keystead_claims = guard.check(request.headers.get("Authorization"))
            except NotAllowed as refusal:
                return Response(refusal.body, refusal.status, refusal.headers)
            return current_app.ensure_sync(view)(*args, **kwargs)

        return cast("View", guarded)

    return decorate


def claims() -> Claims:
    """Whose request it is; inside a view that requires a token."""
    found: Claims = g.keystead_claims
    return found
