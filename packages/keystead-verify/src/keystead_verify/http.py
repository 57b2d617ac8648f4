"""One bounded HTTP exchange, on the standard library: no redirects, no proxies, no more bytes or time than allowed."""

import http.client
import io
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_default_tls = cache(ssl.create_default_context)


class ExchangeFailed(Exception):
    """No answer, or none that was wanted; the text says why."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    def max_age(self) -> int | None:
        """Seconds, of Cache-Control (RFC 9111 §5.2.2.1)."""
        for directive in self.headers.get("cache-control", "").split(","):
            name, _, value = directive.strip().partition("=")
            if name.lower() == "max-age" and value.isascii() and value.isdigit() and len(value) < 10:
                return int(value)
            if name.lower() in ("no-store", "no-cache"):
                return 0
        return None


def require_https(url: str, *, allow_http: bool) -> None:
    """Raises ValueError for what would send tokens, or fetch keys, in the clear."""
    parts = urlsplit(url)
    if parts.hostname is None or parts.username is not None or parts.fragment or parts.port == 0:
        raise ValueError(f"{url!r} is no address; write it like https://id.example.com.")
    if parts.scheme != "https" and not (
        parts.scheme == "http" and (allow_http or parts.hostname in _LOOPBACK)
    ):
        raise ValueError(f"{url!r} is not https://; allow_http=True allows it, for a private network.")


def exchange(
    url: str,
    *,
    seconds: float,
    max_bytes: int,
    form: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """GET, or POST of a form. Raises ExchangeFailed."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, parts.port, timeout=seconds, context=tls or _default_tls()
        )
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=seconds)
    connection.response_class = partial(_TimedResponse, ends=monotonic() + seconds)  # type: ignore[assignment]
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    sent = {"Accept": "application/json", "Connection": "close", **(headers or {})}
    if form is not None:
        sent["Content-Type"] = "application/x-www-form-urlencoded"
    try:
        connection.request("GET" if form is None else "POST", target, form, sent)
        answer = connection.getresponse()
        body = answer.read(max_bytes + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ExchangeFailed(f"{url}: {type(error).__name__}: {error}") from error
    finally:
        connection.close()
    if len(body) > max_bytes:
        raise ExchangeFailed(f"{url}: the answer is longer than {max_bytes} bytes")
    return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, body)


class _TimedResponse(http.client.HTTPResponse):
    """A server that drips one byte at a time gets no more time than another one."""

    def __init__(self, sock: socket.socket, *args: Any, ends: float, **named: Any) -> None:
        super().__init__(sock, *args, **named)
        self.fp.close()
        self.fp = io.BufferedReader(_TimedReader(sock, ends))


class _TimedReader(io.RawIOBase):
    def __init__(self, sock: socket.socket, ends: float) -> None:
        self._sock = sock
        self._ends = ends
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._ends - monotonic()
        if left <= 0:
            raise TimeoutError("the answer took too long")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
