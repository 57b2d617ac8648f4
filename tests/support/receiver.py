"""A service that hooks call: a real server on loopback that answers as it is told to; and hooks that call it."""

import base64
import ipaddress
import json
import ssl
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from keystead.hooks.call import Hooks
from keystead.hooks.types import Hook, HookPoint, OnFailure
from keystead.kernel.clock import Clock
from keystead.kernel.secrets import Secret
from keystead.outgoing.destination import Destinations

KEY = base64.b64encode(b"a secret of thirty-two bytes ....").decode()
LOOPBACK = Destinations((ipaddress.ip_network("127.0.0.0/8"),))


def hook(url, *, point=HookPoint.BEFORE_TOKEN, on_failure=OnFailure.REFUSE, seconds=5.0, secrets=(KEY,)):
    return Hook(
        point, url, tuple(Secret(f"whsec_{each}") for each in secrets), timedelta(seconds=seconds), on_failure
    )


def hooks_of(*found, destinations=LOOPBACK, ca_file=None):
    return Hooks({each.point: each for each in found}, destinations, Clock(), ca_file=ca_file)


def hook_settings(url: str, *points: HookPoint, **more: str) -> dict[str, str]:
    """Settings in which `points` call a receiver at `url`."""
    each = {"URL": url, "SECRET": f"whsec_{KEY}", **more}
    return {
        "HOOKS__ALLOW_PRIVATE": "127.0.0.0/8",
        "APPLICATIONS__DEFAULT__CLAIMS__FROM_HOOK": "plan, quota",
        **{f"HOOKS__{point.name}__{name}": value for point in points for name, value in each.items()},
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class Receiver:
    """`answer` gets what was sent and gives status, media type and body. Close it."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.calls: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self.delay = 0.0
        self.location = "http://127.0.0.1:9/"
        self.answer: Callable[[dict[str, Any]], tuple[int, str, bytes]] = lambda _call: (204, "", b"")
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self.told = receiver.read(body)
                receiver.bodies.append(body)
                receiver.calls.append(self.told)
                receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
                time.sleep(receiver.delay)
                receiver.respond(self)

            def do_GET(self) -> None:
                self.told = {"path": self.path}
                receiver.calls.append(self.told)
                receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
                time.sleep(receiver.delay)
                receiver.respond(self)

            def log_message(self, *_args: object) -> None:
                """A test's output is the test's."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._scheme = "http"
        if tls is not None:
            self._scheme = "https"
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def read(self, body: bytes) -> dict[str, Any]:
        return json.loads(body)

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}/keystead"

    def respond(self, handler: Any) -> None:
        status, media_type, body = self.answer(handler.told)
        try:
            handler.send_response(status)
            if media_type:
                handler.send_header("content-type", media_type)
            if 300 < status < 400:
                handler.send_header("location", self.location)
            handler.send_header("content-length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)
        except OSError:
            pass  # who called has gone

    def says(self, body: object, *, status: int = 200, media_type: str = "application/json") -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.answer = lambda _call: (status, media_type, data)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
