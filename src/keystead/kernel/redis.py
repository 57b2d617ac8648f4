"""Redis or Valkey over one multiplexed connection, with a deadline and a breaker."""

import asyncio
import ssl
from collections import deque
from datetime import timedelta
from time import monotonic
from typing import cast
from urllib.parse import unquote, urlsplit

import hiredis
import structlog

from keystead.kernel.errors import Unavailable
from keystead.kernel.secrets import Secret

log = structlog.get_logger("redis")


class RedisUnavailable(Unavailable):
    """Redis cannot be reached or did not answer in time. Nothing of ours depends on it for its truth."""


class RedisError(Exception):
    """Redis answered with an error: our own mistake."""


class _Connection(asyncio.Protocol):
    """Replies come in the order of the commands, so a queue of futures is all the bookkeeping there is."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader()
        self._waiting: deque[asyncio.Future[object]] = deque()
        self._transport: asyncio.Transport | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                future = self._waiting.popleft()
                if not future.done():
                    future.set_result(reply)
        except (hiredis.ProtocolError, IndexError):
            self.close()

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(ConnectionResetError())

    def send(self, *command: str | bytes | float) -> "asyncio.Future[object]":
        if self._transport is None:
            raise ConnectionResetError
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._transport.write(hiredis.pack_command(command))  # type: ignore[arg-type]  # stub: a tuple of one
        return future

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class Redis:
    """`await redis.call("PING")`; many calls share one connection and overlap.

    After a failure the breaker refuses calls at once for `retry_after`, then lets one through to try again.
    """

    def __init__(
        self,
        url: Secret,
        *,
        timeout: timedelta = timedelta(milliseconds=50),
        connect_timeout: timedelta = timedelta(seconds=1),
        retry_after: timedelta = timedelta(seconds=1),
    ) -> None:
        self._url = url
        self._timeout = timeout.total_seconds()
        self._connect_timeout = connect_timeout.total_seconds()
        self._retry_after = retry_after.total_seconds()
        self._connection: _Connection | None = None
        self._connecting = asyncio.Lock()
        self._closed_until = 0.0

    async def call(self, *command: str | bytes | float) -> object:
        """The reply. Raises RedisUnavailable within the timeout, RedisError for an error reply."""
        if monotonic() < self._closed_until:
            raise RedisUnavailable
        try:
            connection = self._connection
            if connection is None or not connection.is_open:
                connection = await self._connect()
            async with asyncio.timeout(self._timeout):
                reply = await connection.send(*command)
        except (OSError, TimeoutError, hiredis.HiredisError) as error:
            self._trip(error)
            raise RedisUnavailable from error
        if isinstance(reply, hiredis.ReplyError):
            raise RedisError(str(reply))
        return reply

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def _trip(self, error: Exception) -> None:
        log.warning("redis.unavailable", error=type(error).__name__)
        self._closed_until = monotonic() + self._retry_after
        if self._connection is not None:
            # Replies to what timed out may still come: they must not be taken for those of later calls.
            self._connection.close()
            self._connection = None

    async def _connect(self) -> _Connection:
        async with self._connecting:
            if self._connection is not None and self._connection.is_open:
                return self._connection
            async with asyncio.timeout(self._connect_timeout):
                self._connection = await _open(self._url.reveal())
            return self._connection


async def _open(url: str) -> _Connection:
    parts = urlsplit(url)
    loop = asyncio.get_running_loop()
    if parts.scheme == "unix":
        _, connection = await loop.create_unix_connection(_Connection, unquote(parts.path))
    else:
        tls = ssl.create_default_context() if parts.scheme == "rediss" else None
        _, connection = await loop.create_connection(
            _Connection, parts.hostname or "localhost", parts.port or 6379, ssl=tls
        )
    try:
        if parts.password:
            user = [unquote(parts.username)] if parts.username else []
            await _expect_ok(connection, "AUTH", *user, unquote(parts.password))
        if parts.scheme != "unix" and (database := parts.path.strip("/")):
            await _expect_ok(connection, "SELECT", database)
    except BaseException:
        connection.close()
        raise
    return connection


async def _expect_ok(connection: _Connection, *command: str) -> None:
    reply = await connection.send(*command)
    if isinstance(reply, hiredis.ReplyError):
        raise ConnectionRefusedError(command[0])
