"""ASGI middleware: for a whole application of whatever framework."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from keystead_verify.errors import NotAllowed
from keystead_verify.requirement import Requirement, bearer_token, headers_of, problem_bytes
from keystead_verify.verifier import Verifier

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CLAIMS = "keystead.claims"  # in the scope, for the application


class RequireToken:
    """Lets in who holds a token that meets the requirement; the claims are in `scope["keystead.claims"]`.

    `public` are paths that need none. A WebSocket is closed before it opens.
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or scope.get("path") in self._public:
            await self._app(scope, receive, send)
            return
        try:
            claims = await self._verifier.averify(bearer_token(_authorization(scope)))
            self._requirement.check(claims, now=self._verifier.now())
        except NotAllowed as refusal:
            await _refuse(scope, send, refusal)
            return
        scope[CLAIMS] = claims
        await self._app(scope, receive, send)


def _authorization(scope: Scope) -> str | None:
    """None for several of them, too: whoever stands before us may read another one."""
    found = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
    return found[0].decode("latin-1") if len(found) == 1 else None


async def _refuse(scope: Scope, send: Send, refusal: NotAllowed) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    body = problem_bytes(refusal)
    headers = {
        **headers_of(refusal),
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(body)),
        "Cache-Control": "no-store",
    }
    encoded = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
