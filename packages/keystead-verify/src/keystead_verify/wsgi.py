"""WSGI middleware: for a whole application of whatever framework."""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any, Unpack

from keystead_verify.errors import NotAllowed
from keystead_verify.guard import Asked, Guard
from keystead_verify.verifier import Verifier

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]

CLAIMS = "keystead.claims"  # in the environ, for the application


class RequireToken:
    """Lets in who holds a token that meets what is asked; the claims are in `environ["keystead.claims"]`.

    `public` are paths that need none.
    """

    def __init__(
        self, app: App, verifier: Verifier, *, public: Iterable[str] = (), **asked: Unpack[Asked]
    ) -> None:
        self._app = app
        self._guard = Guard(verifier, **asked)
        self._public = frozenset(public)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") not in self._public:
            try:
                environ[CLAIMS] = self._guard.check(environ.get("HTTP_AUTHORIZATION"))
            except NotAllowed as refusal:
                status = HTTPStatus(refusal.status)
                headers = {**refusal.headers, "Content-Length": str(len(refusal.body))}
                start_response(f"{status.value} {status.phrase}", list(headers.items()))
                return [refusal.body]
        return self._app(environ, start_response)
