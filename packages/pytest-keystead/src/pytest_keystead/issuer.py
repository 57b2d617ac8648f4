"""A local issuer: signs access tokens as Keystead does, serves its keys over HTTP, and has a clock to be moved."""

import json
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from uuid import UUID, uuid4

from pytest_keystead.forgery import forge
from pytest_keystead.signing import Algorithm, SigningKey, payload_of

JWKS_PATH = "/.well-known/jwks.json"
DISCOVERY_PATH = "/.well-known/openid-configuration"
_NOW = object()
_JSON = "application/json"
_POLL = 0.02  # seconds that going down takes at most


class Clock:
    """The issuer's time in Unix seconds: the real one, and so much more. Call it, as verifiers call theirs."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += seconds

    def reset(self) -> None:
        """Back to the real time."""
        self._ahead = 0.0


class LocalIssuer:
    """`url` is `iss` of its tokens, and where their keys are. Close it, or use it as a context."""

    def __init__(
        self, audience: str = "https://api.example", *, max_age: int = 30, algorithm: Algorithm = "RS256"
    ) -> None:
        self.audience = audience
        self.algorithm = algorithm
        self.clock = Clock()
        self.max_age = max_age  # seconds that verifiers may keep the keys
        self.requests = 0  # for keys, so far
        self._keys = [SigningKey(algorithm)]
        self._answer: tuple[int, str, bytes] | None = None
        self._delay = 0.0
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self.come_back()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def token(
        self,
        *,
        sub: str | None = None,
        roles: Sequence[str] = ("user",),
        scope: str = "",
        audience: str | None = None,
        client_id: str = "default",
        expires_in: float = 300,
        auth_time: float | object | None = _NOW,
        **claims: Any,
    ) -> str:
        """An access token of a person in a session (RFC 9068), who has just signed in.

        Unless `auth_time` says when (Unix seconds; None: nobody proved anything). `claims` are added; None leaves one
        out. Raises ValueError for a `sub` that is no UUID, as Keystead's all are.
        """
        proven = self.clock() if auth_time is _NOW else auth_time
        own = {
            "client_id": client_id,
            "sid": str(uuid4()),
            "amr": [] if proven is None else ["pwd"],
            "auth_time": None if proven is None else int(proven),  # type: ignore[call-overload]
        }
        return self._key().token({**self._common(sub, audience, roles, scope, expires_in), **own, **claims})

    def machine_token(
        self,
        *,
        sub: str | None = None,
        roles: Sequence[str] = (),
        scope: str = "",
        audience: str | None = None,
        expires_in: float = 300,
        **claims: Any,
    ) -> str:
        """An access token of a service account, which is its own client."""
        common = self._common(sub, audience, roles, scope, expires_in)
        own = {"client_id": common["sub"], "key_id": str(uuid4())}
        return self._key().token({**common, **own, **claims})

    def forged(self, how: str = "signature", **arguments: Any) -> str:
        """As `token`, but wrong in one way, which a verifier must notice: one of `FORGERIES`."""
        return forge(how, payload_of(self.token(**arguments)), self._key(), self._stranger)

    def rotate(self, *, keep: int = 1) -> None:
        """A new key signs from now on; the `keep` last ones stay published."""
        new = SigningKey(self.algorithm)
        with self._lock:
            self._keys = [new, *self._keys[:keep]]

    def answer_with(self, body: bytes, *, status: int = 200, content_type: str = "application/json") -> None:
        """What it answers instead of its keys, until `come_back`."""
        self._answer = (status, content_type, body)

    def slow_down(self, seconds: float) -> None:
        """How long each answer takes from now on, until `come_back`."""
        self._delay = seconds

    def go_down(self) -> None:
        """Connections are refused until `come_back`."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def come_back(self) -> None:
        """Everything as it should be, at the same address."""
        self._answer, self._delay = None, 0.0
        if self._server is None:
            self._server = _Server(("127.0.0.1", self._port), partial(_Handler, self))
            self._port = self._server.server_address[1]
            threading.Thread(target=self._server.serve_forever, args=(_POLL,), daemon=True).start()

    def close(self) -> None:
        self._delay = 0.0
        self.go_down()

    def jwks(self) -> bytes:
        with self._lock:
            return json.dumps({"keys": [key.jwk() for key in self._keys]}).encode()

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Status, type and body for a request. Counts, and takes the time it should."""
        if path == DISCOVERY_PATH:
            found = {"issuer": self.url, "jwks_uri": self.url + JWKS_PATH}
            return 200, _JSON, json.dumps(found).encode()
        if path != JWKS_PATH:
            return 404, _JSON, b"{}"
        with self._lock:
            self.requests += 1
        time.sleep(self._delay)
        return self._answer or (200, _JSON, self.jwks())

    def _key(self) -> SigningKey:
        with self._lock:
            return self._keys[0]

    @cached_property
    def _stranger(self) -> SigningKey:
        return SigningKey(self.algorithm)

    def _common(
        self, sub: str | None, audience: str | None, roles: Sequence[str], scope: str, expires_in: float
    ) -> dict[str, Any]:
        now = int(self.clock())
        expires_at = now + int(expires_in)
        return {
            "iss": self.url,
            "sub": _uuid(sub) if sub else str(uuid4()),
            "aud": audience or self.audience,
            "exp": expires_at,
            "iat": min(now, expires_at - 1),
            "jti": str(uuid4()),
            "roles": list(roles),
            "scope": scope,
        }


class _Server(ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = True


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, issuer: LocalIssuer, *arguments: Any) -> None:
        self._issuer = issuer
        super().__init__(*arguments)

    def do_GET(self) -> None:
        status, content_type, body = self._issuer.answer(self.path)
        with suppress(OSError):  # who asked has gone
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", f"public, max-age={self._issuer.max_age}")
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Nothing: a test's output is the test's."""


def _uuid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise ValueError(f"sub must be a UUID, as Keystead's all are: {text!r}") from None
