"""Django: a decorator of views, also of asynchronous ones."""

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, Unpack

from django.http import HttpRequest, HttpResponse

from keystead_verify.errors import NotAllowed
from keystead_verify.guard import Asked, Guard
from keystead_verify.verifier import Verifier

View = Callable[..., Any]


def require_token(verifier: Verifier, **asked: Unpack[Asked]) -> Callable[[View], View]:
    """The view is called for who holds a token that meets what is asked; `request.claims` are theirs.

    Such a view needs no CSRF token: a browser does not send this header by itself.
    """
    guard = Guard(verifier, **asked)

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            try:
                request.claims = guard.check(request.headers.get("Authorization"))
            except NotAllowed as refusal:
                return _refuse(refusal)
            return view(request, *args, **kwargs)

        @wraps(view)
        async def guarded_async(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            try:
                request.claims = await guard.acheck(request.headers.get("Authorization"))
            except NotAllowed as refusal:
                return _refuse(refusal)
            return await view(request, *args, **kwargs)

        chosen: View = guarded_async if iscoroutinefunction(view) else guarded
        chosen.csrf_exempt = True  # type: ignore[attr-defined]
        return chosen

    return decorate


def _refuse(refusal: NotAllowed) -> HttpResponse:
    return HttpResponse(refusal.body, status=refusal.status, headers=refusal.headers)
