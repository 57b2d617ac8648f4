"""ASGI middleware: for a whole application of whatever framework."""

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any, Unpack

from keystead_verify.errors import NotAllowed
from keystead_verify.guard import Asked, Guard
from keystead_verify.verifier import Verifier

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

CLAIMS = "keystead.claims"  # in the scope, for the application


class RequireToken:
    """Lets in who holds a token that meets what is asked; the claims are in `scope["keystead.claims"]`.

    `public` are paths that need none. A WebSocket is closed before it opens.
    """

    def __init__(
        self, app: App, verifier: Verifier, *, public: Iterable[str] = (), **asked: Unpack[Asked]
    ) -> None:
        self._app = app
        self._guard = Guard(verifier, **asked)
        self._public = frozenset(public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and scope["path"] not in self._public:
            try:
                scope[CLAIMS] = await self._guard.acheck(_authorization(scope))
            except NotAllowed as refusal:
                await _refuse(scope, send, refusal)
                return
        await self._app(scope, receive, send)


def _authorization(scope: Scope) -> str | None:
    """None for several of them, too: whoever stands before us may read another one."""
    found = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
    return found[0].decode("latin-1") if len(found) == 1 else None


async def _refuse(scope: Scope, send: Send, refusal: NotAllowed) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    headers = {**refusal.headers, "Content-Length": str(len(refusal.body))}
    encoded = [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": encoded})
    await send({"type": "http.response.body", "body": refusal.body})
