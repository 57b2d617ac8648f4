"""What Keystead is compared with: a bare Starlette route, and the least that a server can do."""

import asyncio
import sys

import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

# As many members and bytes as the answer of `GET /api/v1/users/me`.
ACCOUNT = {
    "id": "01890a5d-ac96-774b-bcce-b302099a8057",
    "email": "somebody-0123456789ab@example.com",
    "email_verified": False,
    "full_name": "Ada Lovelace",
    "status": "active",
    "preferences": {},
    "created_at": "2024-01-01T00:00:00.000000Z",
    "updated_at": "2024-01-01T00:00:00.000000Z",
    "roles": ["user"],
}
_FIXED = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


async def _show(_request: Request) -> JSONResponse:
    return JSONResponse(ACCOUNT)


app = Starlette(routes=[Route("/", _show)])


class _Least(asyncio.Protocol):
    """Answers whatever it gets, unread: what is measured against it is the load itself."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(_FIXED)


async def _serve_least(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Least, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve_least(int(sys.argv[1])))
