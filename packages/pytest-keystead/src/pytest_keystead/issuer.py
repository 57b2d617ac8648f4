"""A local issuer: signs access tokens as Keystead does, serves its keys over HTTP, and has a clock to be moved."""

import json
import secrets
import threading
import time
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

JWKS_PATH = "/.well-known/jwks.json"
DISCOVERY_PATH = "/.well-known/openid-configuration"
_NOW = object()


class Clock:
    """The issuer's time in Unix seconds: the real one, and so much more. Call it, as verifiers call theirs."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


class _SigningKey:
    def __init__(self) -> None:
        self.kid = secrets.token_hex(8)
        self.private: EllipticCurvePrivateKey = generate_private_key(SECP256R1())

    def jwk(self) -> dict[str, str]:
        point = self.private.public_key().public_numbers()
        x, y = (_b64(number.to_bytes(32, "big")) for number in (point.x, point.y))
        return {"kid": self.kid, "use": "sig", "alg": "ES256", "kty": "EC", "crv": "P-256", "x": x, "y": y}

    def sign(self, data: bytes) -> bytes:
        r, s = decode_dss_signature(self.private.sign(data, ECDSA(SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


class LocalIssuer:
    """`url` is `iss` of its tokens, and where their keys are. Close it, or use it as a context."""

    def __init__(self, audience: str = "https://api.example", *, max_age: int = 30) -> None:
        self.audience = audience
        self.clock = Clock()
        self.max_age = max_age  # seconds that verifiers may keep the keys
        self.requests = 0  # for keys, so far
        self._keys = [_SigningKey()]
        self._stranger = _SigningKey()
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
        out.
        """
        now = int(self.clock())
        proven = now if auth_time is _NOW else auth_time
        return self._sign(
            {
                **self._common(sub or str(uuid4()), audience, roles, scope, now, expires_in),
                "client_id": client_id,
                "sid": str(uuid4()),
                "amr": ["pwd"] if proven is not None else [],
                "auth_time": proven if proven is None else int(proven),  # type: ignore[call-overload]
                **claims,
            }
        )

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
        """An access token of a service account."""
        account = sub or str(uuid4())
        common = self._common(account, audience, roles, scope, int(self.clock()), expires_in)
        return self._sign({**common, "client_id": account, "key_id": str(uuid4()), **claims})

    def forged(self, **arguments: Any) -> str:
        """As `token`, signed by a stranger under this issuer's key id."""
        head, payload, _ = self.token(**arguments).split(".")
        return f"{head}.{payload}.{_b64(self._stranger.sign(f'{head}.{payload}'.encode()))}"

    def rotate(self, *, keep: int = 1) -> None:
        """A new key signs from now on; the `keep` last ones stay published."""
        with self._lock:
            self._keys = [_SigningKey(), *self._keys[:keep]]

    def answer_with(self, body: bytes, *, status: int = 200, content_type: str = "application/json") -> None:
        """What it answers instead of its keys, until `come_back`."""
        self._answer = (status, content_type, body)

    def slow_down(self, seconds: float) -> None:
        """How long each answer takes from now on."""
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
            issuer = self

            class Handler(_Handler):
                of = issuer

            ThreadingHTTPServer.allow_reuse_address = True
            self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
            self._server.daemon_threads = True
            self._port = self._server.server_address[1]
            threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._delay = 0.0
        self.go_down()

    def jwks(self) -> bytes:
        with self._lock:
            return json.dumps({"keys": [key.jwk() for key in self._keys]}).encode()

    def _common(
        self, sub: str, audience: str | None, roles: Sequence[str], scope: str, now: int, expires_in: float
    ) -> dict[str, Any]:
        expires_at = now + int(expires_in)
        return {
            "iss": self.url,
            "sub": str(UUID(sub)),
            "aud": audience or self.audience,
            "exp": expires_at,
            "iat": min(now, expires_at - 1),
            "jti": str(uuid4()),
            "roles": list(roles),
            "scope": scope,
        }

    def _sign(self, claims: dict[str, Any]) -> str:
        with self._lock:
            key = self._keys[0]
        header = {"alg": "ES256", "kid": key.kid, "typ": "at+jwt"}
        payload = {name: value for name, value in claims.items() if value is not None}
        signed = ".".join(
            _b64(json.dumps(part, separators=(",", ":")).encode()) for part in (header, payload)
        )
        return f"{signed}.{_b64(key.sign(signed.encode()))}"


class _Handler(BaseHTTPRequestHandler):
    of: LocalIssuer

    def do_GET(self) -> None:
        issuer = self.of
        status, content_type, body = 404, "application/json", b"{}"
        if self.path == DISCOVERY_PATH:
            status, body = (
                200,
                json.dumps({"issuer": issuer.url, "jwks_uri": issuer.url + JWKS_PATH}).encode(),
            )
        elif self.path == JWKS_PATH:
            with issuer._lock:  # noqa: SLF001 - one thing in two classes
                issuer.requests += 1
            time.sleep(issuer._delay)  # noqa: SLF001
            status, content_type, body = issuer._answer or (200, content_type, issuer.jwks())  # noqa: SLF001
        with suppress(OSError):  # who asked has gone
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", f"public, max-age={issuer.max_age}")
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Nothing: a test's output is the test's."""


def _b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
