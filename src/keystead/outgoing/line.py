"""A line to one service: calls that are bounded in time, number and size, and left out while the service is ill."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from httpcore2 import AsyncConnectionPool, ConnectError

from keystead.kernel import strict_json
from keystead.kernel.errors import CannotStart, Refusal
from keystead.outgoing.backend import GuardedBackend
from keystead.outgoing.breaker import Breaker
from keystead.outgoing.destination import AddressForbidden, Destinations

T = TypeVar("T")

MAX_AT_ONCE = 50
MAX_ANSWER_BYTES = 16 * 1024
MAX_ANSWER_DEPTH = 6
_KEEPALIVE_SECS = 2.0  # shorter than servers keep theirs, or a call would meet one that is just being closed


class NotCalled(Exception):
    """Nothing was sent. `why` is `not_called`, if the service is left alone, or `busy`, if too many are under way."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


class BadAnswer(Exception):
    """It did not answer as it should; the text says why and holds nothing of the answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    media_type: str
    data: bytes

    def read_object(self) -> dict[str, Any]:
        """The JSON object that it is. Raises BadAnswer."""
        if self.media_type != "application/json":
            raise BadAnswer("the answer is no JSON")
        try:
            members = strict_json.loads(self.data, max_depth=MAX_ANSWER_DEPTH)
        except strict_json.JsonRejected as error:
            raise BadAnswer(str(error)) from None
        if not isinstance(members, dict):
            raise BadAnswer("the answer is no object")
        return members


class Line:
    """What a service has for itself, so that one that is slow holds up no other."""

    def __init__(
        self,
        url: str,
        destinations: Destinations,
        trust: ssl.SSLContext,
        *,
        timeout: timedelta,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        in_the_clear = url.startswith("http://")
        self.breaker = Breaker()
        self._url = url
        self._timeout = timeout.total_seconds()
        self._max_answer_bytes = max_answer_bytes
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)
        # No redirects, no proxies of the environment, no cookies: it is a pool of connections and nothing more.
        self._pool = AsyncConnectionPool(
            ssl_context=trust,
            max_connections=MAX_AT_ONCE,
            keepalive_expiry=_KEEPALIVE_SECS,
            network_backend=GuardedBackend(replace(destinations, includes_public=not in_the_clear)),
        )

    async def post(self, headers: Mapping[str, str], body: bytes, read: Callable[[Answer], T]) -> T:
        """What `read` makes of the answer. Raises NotCalled, or whatever a network or `read` does.

        All but a Refusal, which is an answer, too, counts against the service. Nothing is locked meanwhile: no
        caller may be in a transaction.
        """
        return await self._call(lambda: self._send("POST", self._url, headers, body), read)

    async def get(self, path: str, headers: Mapping[str, str], read: Callable[[Answer], T]) -> T:
        """As `post`, of what is at `path` below the URL."""
        url = f"{self._url.rstrip('/')}/{path}"
        return await self._call(lambda: self._send("GET", url, headers, None), read)

    async def close(self) -> None:
        await self._pool.aclose()

    async def _call(self, send: Callable[[], Awaitable[Answer]], read: Callable[[Answer], T]) -> T:
        if not self.breaker.admits():
            raise NotCalled("not_called")
        is_sent = False
        try:
            async with asyncio.timeout(self._timeout), self._slots:
                is_sent = True
                result = read(await send())
        except Refusal:
            self.breaker.note(success=True)
            raise
        except Exception:
            if not is_sent:  # too many are under way: that is no fault of the service's
                raise NotCalled("busy") from None
            self.breaker.note(success=False)
            raise
        self.breaker.note(success=True)
        return result

    async def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        named = {"accept": "application/json", "user-agent": "Keystead", **headers}
        async with self._pool.stream(
            method,
            url,
            headers=[(name.encode(), value.encode()) for name, value in named.items()],
            content=body,
        ) as response:
            told = {name.lower(): value for name, value in response.headers}
            data = bytearray()
            async for chunk in response.aiter_stream():
                data += chunk
                if len(data) > self._max_answer_bytes:
                    raise BadAnswer(f"the answer is longer than {self._max_answer_bytes} bytes")
            media_type = told.get(b"content-type", b"").partition(b";")[0].strip().lower()
            return Answer(response.status, media_type.decode("latin-1"), bytes(data))


def trusting(ca_file: Path | None, *, setting: str) -> ssl.SSLContext:
    """The certificates of `ca_file` in place of the system's. Raises CannotStart, which names the setting."""
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise CannotStart(f"the certificates of {setting}, {ca_file}, cannot be read: {error}") from error


def shown(error: Exception) -> str:
    """For the log. What a faulty protocol is told with may hold the answer, and so what we said of a person."""
    told = isinstance(error, BadAnswer | AddressForbidden | ConnectError)
    return f"{type(error).__name__}: {error}"[:200] if told else type(error).__name__
