"""Django: a decorator of views, also of asynchronous ones."""

from collections.abc import Awaitable, Callable, Iterable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from keystead_verify.errors import NotAllowed
from keystead_verify.requirement import Requirement, bearer_token, headers_of, problem_bytes
from keystead_verify.verifier import Verifier

View = Callable[..., Any]


def require_token(
    verifier: Verifier,
    *,
    scope: str | Iterable[str] = (),
    roles: str | Iterable[str] = (),
    max_age: int | None = None,
) -> Callable[[View], View]:
    """The view is called for who holds a token that meets the requirement; `request.claims` are theirs.

    Such a view needs no CSRF token: a browser does not send this header by itself.
    """
    requirement = Requirement.of(scope, roles, max_age)

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            try:
                claims = verifier.verify(bearer_token(request.headers.get("Authorization")))
                request.claims = requirement.check(claims, now=verifier.now())
            except NotAllowed as refusal:
                return _refuse(refusal)
            answer: HttpResponseBase = view(request, *args, **kwargs)
            return answer

        @wraps(view)
        async def guarded_async(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            try:
                claims = await verifier.averify(bearer_token(request.headers.get("Authorization")))
                request.claims = requirement.check(claims, now=verifier.now())
            except NotAllowed as refusal:
                return _refuse(refusal)
            answer: Awaitable[HttpResponseBase] = view(request, *args, **kwargs)
            return await answer

        chosen: View = guarded_async if iscoroutinefunction(view) else guarded
        chosen.csrf_exempt = True  # type: ignore[attr-defined]
        return chosen

    return decorate


def _refuse(refusal: NotAllowed) -> HttpResponse:
    headers = {**headers_of(refusal), "Cache-Control": "no-store"}
    return HttpResponse(
        problem_bytes(refusal),
        status=refusal.status,
        headers=headers,
        content_type="application/problem+json",
    )
