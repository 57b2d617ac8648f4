"""WSGI middleware: for a whole application of whatever framework."""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from keystead_verify.errors import NotAllowed
from keystead_verify.requirement import Requirement, bearer_token, headers_of, problem_bytes
from keystead_verify.verifier import Verifier

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]

CLAIMS = "keystead.claims"  # in the environ, for the application


class RequireToken:
    """Lets in who holds a token that meets the requirement; the claims are in `environ["keystead.claims"]`.

    `public` are paths that need none.
    """

    def __init__(
        self,
        app: App,
        verifier: Verifier,
        *,
        scope: str | Iterable[str] = (),
        roles: str | Iterable[str] = (),
        max_age: int | None = None,
        public: Iterable[str] = (),
    ) -> None:
        self._app = app
        self._verifier = verifier
        self._requirement = Requirement.of(scope, roles, max_age)
        self._public = frozenset(public)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") in self._public:
            return self._app(environ, start_response)
        try:
            claims = self._verifier.verify(bearer_token(environ.get("HTTP_AUTHORIZATION")))
            self._requirement.check(claims, now=self._verifier.now())
        except NotAllowed as refusal:
            body = problem_bytes(refusal)
            headers = {
                **headers_of(refusal),
                "Content-Type": "application/problem+json",
                "Content-Length": str(len(body)),
                "Cache-Control": "no-store",
            }
            status = HTTPStatus(refusal.status)
            start_response(f"{status.value} {status.phrase}", list(headers.items()))
            return [body]
        environ[CLAIMS] = claims
        return self._app(environ, start_response)
