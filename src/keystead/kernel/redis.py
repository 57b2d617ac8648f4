"""Redis or Valkey over one multiplexed connection, with a deadline and a breaker."""

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import cast
from urllib.parse import unquote, urlsplit

import hiredis
import structlog

from keystead.kernel.errors import Unavailable
from keystead.kernel.secrets import Secret

log = structlog.get_logger("redis")

# A process that was busy elsewhere for that long has not read what arrived meanwhile: it does so before it gives up.
_LAST_LOOK = 0.002
# A server that answers others is not away: a call waits its turn behind theirs, but for no more timeouts than this.
_LONGEST_TURN = 5


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
        self.heard_at = 0.0  # by the time of the loop

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        self.heard_at = asyncio.get_running_loop().time()
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


class Script:
    """A Lua script, which the server is sent once and then knows by its digest."""

    __slots__ = ("digest", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest: bytes | None = None


class Redis:
    """`await redis.call("PING")`; many calls share one connection and overlap.

    A server that says nothing for `timeout` costs a call no more than that; one that answers, but slowly, five times as
    much. After a failure every call is refused at once, until the server has answered again: it is tried in the
    background, every `retry_after`.
    """

    def __init__(
        self,
        url: Secret,
        *,
        timeout: timedelta = timedelta(milliseconds=50),
        connect_timeout: timedelta = timedelta(seconds=1),
        retry_after: timedelta = timedelta(milliseconds=500),
    ) -> None:
        self._url = url
        self._timeout = timeout.total_seconds()
        self._connect_timeout = connect_timeout.total_seconds()
        self._retry_after = retry_after.total_seconds()
        self._connection: _Connection | None = None
        self._connecting: asyncio.Task[_Connection] | None = None
        self._is_away = False

    @property
    def is_away(self) -> bool:
        """Whether calls are refused because the last one failed."""
        return self._is_away

    async def call(self, *command: str | bytes | float) -> object:
        """The reply. Raises RedisUnavailable in time, RedisError for an error reply."""
        if self._is_away:
            raise RedisUnavailable
        connection = self._connection
        try:
            if connection is None or not connection.is_open:
                async with asyncio.timeout(self._timeout):
                    connection = await asyncio.shield(self._start_connecting())
            reply = await self._within_time(connection, connection.send(*command))
        except (OSError, TimeoutError, hiredis.HiredisError) as error:
            if connection is self._connection:  # otherwise another call has noticed before
                self._trip(error)
            raise RedisUnavailable from error
        if isinstance(reply, hiredis.ReplyError):
            raise RedisError(str(reply))
        return reply

    async def run(
        self, script: Script, keys: Sequence[bytes], arguments: Sequence[str | bytes | float]
    ) -> object:
        """What the script returns. Raises as `call` does."""
        if script.digest is not None:
            try:
                return await self.call("EVALSHA", script.digest, len(keys), *keys, *arguments)
            except RedisError as error:
                if not str(error).startswith("NOSCRIPT"):  # it was restarted, or flushed
                    raise
        script.digest = cast(bytes, await self.call("SCRIPT", "LOAD", script.text))
        return await self.call("EVALSHA", script.digest, len(keys), *keys, *arguments)

    async def close(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
        if self._connection is not None:
            self._connection.close()

    async def _within_time(self, connection: _Connection, future: "asyncio.Future[object]") -> object:
        loop = asyncio.get_running_loop()
        sent_at = loop.time()
        timer: asyncio.TimerHandle

        def look(*, is_last: bool) -> None:
            nonlocal timer
            quiet_since = max(sent_at, connection.heard_at)
            due = min(quiet_since + self._timeout, sent_at + _LONGEST_TURN * self._timeout)
            if loop.time() < due:
                timer = loop.call_at(due, partial(look, is_last=False))
            elif not is_last:
                timer = loop.call_later(_LAST_LOOK, partial(look, is_last=True))
            elif not future.done():
                future.set_exception(TimeoutError())

        timer = loop.call_later(self._timeout, partial(look, is_last=False))
        try:
            return await future
        finally:
            timer.cancel()

    def _trip(self, error: Exception) -> None:
        log.warning("redis.unavailable", error=type(error).__name__)
        self._is_away = True
        if self._connection is not None:
            # Replies to what timed out may still come: they must not be taken for those of later calls.
            self._connection.close()
            self._connection = None
        self._connecting = self._start_connecting()

    def _start_connecting(self) -> "asyncio.Task[_Connection]":
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._connect())
        return self._connecting

    async def _connect(self) -> _Connection:
        """A connection over which the server has answered, however long it takes."""
        while True:
            try:
                async with asyncio.timeout(self._connect_timeout):
                    connection = await _open(self._url.reveal())
            except (OSError, TimeoutError, hiredis.HiredisError):
                self._is_away = True
                await asyncio.sleep(self._retry_after)
                continue
            if self._is_away:
                log.info("redis.back")
            self._connection, self._is_away = connection, False
            return connection


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
        await _expect_ok(connection, "PING")  # one that is frozen accepts connections, and says nothing
    except BaseException:
        connection.close()
        raise
    return connection


async def _expect_ok(connection: _Connection, *command: str) -> None:
    reply = await connection.send(*command)
    if isinstance(reply, hiredis.ReplyError):
        raise ConnectionRefusedError(command[0])
