"""One bounded HTTP exchange, on the standard library: no redirects, no proxies, no more bytes or time than allowed."""

import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from urllib.parse import urlsplit

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_CHUNK = 8192


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
    if parts.hostname is None or parts.username is not None or parts.fragment:
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
    ends = monotonic() + seconds
    parts = urlsplit(url)
    if parts.scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=seconds, context=tls or ssl.create_default_context()
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=seconds)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    sent = {"Accept": "application/json", "Connection": "close", **(headers or {})}
    if form is not None:
        sent["Content-Type"] = "application/x-www-form-urlencoded"
    try:
        connection.request("GET" if form is None else "POST", target or "/", form, sent)
        answer = connection.getresponse()
        body = _read(answer, ends, max_bytes)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise ExchangeFailed(f"{url}: {type(error).__name__}: {error}") from error
    finally:
        connection.close()
    names = {name.lower(): value for name, value in answer.getheaders()}
    return Answer(answer.status, names, body)


def _read(answer: http.client.HTTPResponse, ends: float, max_bytes: int) -> bytes:
    """A server that drips one byte at a time gets no more time than another one."""
    chunks: list[bytes] = []
    size = 0
    while chunk := answer.read1(_CHUNK):
        size += len(chunk)
        if size > max_bytes:
            raise ValueError(f"the answer is longer than {max_bytes} bytes")
        if monotonic() > ends:
            raise TimeoutError("the answer took too long")
        chunks.append(chunk)
    return b"".join(chunks)
