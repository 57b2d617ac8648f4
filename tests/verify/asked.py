"""An issuer that is asked about tokens (RFC 7662): a server on loopback that answers as it is told to."""

import json
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs


class AskedIssuer:
    """`answers` by token; `questions` are the tokens that it was asked about. Close it."""

    def __init__(self) -> None:
        self.answers: dict[str, dict[str, Any] | bytes] = {}
        self.questions: list[str] = []
        self.authorizations: list[str] = []
        self.status = 200
        self.delay = 0.0
        self.cache_control = "private, max-age=5"
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/introspect"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
                (token,) = form["token"]
                issuer.questions.append(token)
                issuer.authorizations.append(self.headers["Authorization"])
                time.sleep(issuer.delay)
                found = issuer.answers.get(token, {"active": False})
                body = found if isinstance(found, bytes) else json.dumps(found).encode()
                with suppress(OSError):  # who asked has gone
                    self.send_response(issuer.status)
                    self.send_header("Content-Length", str(len(body)))
                    self.send_header("Cache-Control", issuer.cache_control)
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
                pass

        return Handler
