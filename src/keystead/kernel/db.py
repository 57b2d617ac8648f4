"""PostgreSQL: a small last-in-first-out holder of asyncpg connections, statements and transactions."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from types import TracebackType
from typing import Protocol

import asyncpg
import structlog
from asyncpg import Connection, Record

from keystead.kernel.errors import Unavailable
from keystead.kernel.secrets import Secret
from keystead.kernel.telemetry import DATABASE_CONNECTIONS_ACTIVE

log = structlog.get_logger("database")


class DatabaseUnavailable(Unavailable):
    """PostgreSQL cannot be reached, is full, or did not answer in time. After a write: perhaps done, perhaps not."""

    message = "The database is not available. Try again in a moment."


class Runner(Protocol):
    """What both a Database (each call its own transaction) and a Tx (all calls in one) can do."""

    async def fetch(self, sql: str, *args: object) -> list[Record]: ...

    async def fetch_row(self, sql: str, *args: object) -> Record | None: ...

    async def execute(self, sql: str, *args: object) -> str: ...


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many connections one process holds, and for how long."""

    max_connections: int
    min_connections: int = 1
    acquire_timeout: timedelta = timedelta(seconds=10)
    statement_timeout: timedelta = timedelta(seconds=5)
    max_lifetime: timedelta = timedelta(minutes=30)
    connect_timeout: timedelta = timedelta(seconds=5)


class _Held:
    """One connection and the moment from which it is not handed out again."""

    __slots__ = ("connection", "expires")

    def __init__(self, connection: "Connection[Record]", expires: float) -> None:
        self.connection = connection
        self.expires = expires

    def is_fit(self) -> bool:
        return not self.connection.is_closed() and monotonic() < self.expires

    def spoil(self) -> None:
        self.expires = 0.0

    def is_reusable(self) -> bool:
        return self.is_fit() and not self.connection.is_in_transaction()


class _Lease:
    """A connection for the length of a block. Not a generator, which would cost more than all else here."""

    __slots__ = ("_acquire", "_held", "_release")

    def __init__(self, acquire: Callable[[], Awaitable[_Held]], release: Callable[[_Held], None]) -> None:
        self._acquire = acquire
        self._release = release

    async def __aenter__(self) -> "Connection[Record]":
        self._held = await self._acquire()
        return self._held.connection

    async def __aexit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        is_outage = error is not None and _is_outage(error)
        is_cancelled = not isinstance(error, Exception | None)  # the server may still be at work for us
        if is_outage or is_cancelled:
            self._held.spoil()
        self._release(self._held)
        if is_outage:
            log.warning("database.failed", error=type(error).__name__)
            raise DatabaseUnavailable from error


class Tx:
    """The inside of one transaction."""

    __slots__ = ("_connection",)

    def __init__(self, connection: "Connection[Record]") -> None:
        self._connection = connection

    async def fetch(self, sql: str, *args: object) -> list[Record]:
        return await self._connection.fetch(sql, *args)

    async def fetch_row(self, sql: str, *args: object) -> Record | None:
        return await self._connection.fetchrow(sql, *args)

    async def execute(self, sql: str, *args: object) -> str:
        return await self._connection.execute(sql, *args)


class Database:
    """Hands out connections, the most recently used first, so that few stay warm and the rest may go.

    Every failure of the server or the way to it surfaces as DatabaseUnavailable. A connection that leaves its
    block inside a transaction, by cancellation or by a failure of the server is thrown away, never reused.
    """

    def __init__(self, url: Secret, limits: PoolLimits, *, application_name: str = "keystead") -> None:
        self._url = url
        self._limits = limits
        self._server_settings = {
            "application_name": application_name,
            "statement_timeout": str(int(limits.statement_timeout.total_seconds() * 1000)),
            "idle_in_transaction_session_timeout": "30000",
            # Every statement here is short and finds its rows by a key: compiling one, or planning it anew for each
            # set of arguments, costs more than it could save.
            "jit": "off",
            "plan_cache_mode": "force_generic_plan",
        }
        self._idle: list[_Held] = []
        self._waiters: deque[asyncio.Future[_Held | None]] = deque()
        self._open = 0

    async def open(self) -> None:
        """Connect `min_connections` times. Raises DatabaseUnavailable if that fails."""
        held = [await self._acquire() for _ in range(self._limits.min_connections)]
        for one in held:
            self._release(one)

    async def close(self) -> None:
        """Close what is idle; what is in use is closed by its release."""
        self._limits = PoolLimits(max_connections=0)
        while self._idle:
            await self._idle.pop().connection.close(timeout=2)

    async def fetch(self, sql: str, *args: object) -> list[Record]:
        async with self._lease() as connection:
            return await connection.fetch(sql, *args)

    async def fetch_row(self, sql: str, *args: object) -> Record | None:
        async with self._lease() as connection:
            return await connection.fetchrow(sql, *args)

    async def execute(self, sql: str, *args: object) -> str:
        async with self._lease() as connection:
            return await connection.execute(sql, *args)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Tx]:
        """A transaction: committed at the end of the block, rolled back when an exception leaves it."""
        async with self._lease() as connection:
            await connection.execute("BEGIN")
            try:
                yield Tx(connection)
            except Exception as error:
                if not _is_outage(error):
                    await _roll_back(connection)
                raise
            if await connection.execute("COMMIT") != "COMMIT":
                # PostgreSQL answers ROLLBACK to the COMMIT of a transaction in which a statement had failed.
                raise RuntimeError("a failed statement was swallowed inside a transaction")

    def _lease(self) -> _Lease:
        return _Lease(self._acquire, self._release)

    async def _acquire(self) -> _Held:
        while self._idle:
            held = self._idle.pop()
            if held.is_fit():
                DATABASE_CONNECTIONS_ACTIVE.inc()
                return held
            self._discard(held)
        if self._open >= self._limits.max_connections:
            handed = await self._wait()
            if handed is not None:
                DATABASE_CONNECTIONS_ACTIVE.inc()
                return handed
        held = await self._connect()
        DATABASE_CONNECTIONS_ACTIVE.inc()
        return held

    async def _wait(self) -> _Held | None:
        """The next connection that is released, or None: the right to open one."""
        waiter: asyncio.Future[_Held | None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(self._limits.acquire_timeout.total_seconds()):
                return await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled() and (handed := waiter.result()) is not None:
                self._hand_on(handed)
            if isinstance(error, TimeoutError):
                log.warning("database.exhausted", open=self._open)
                raise DatabaseUnavailable from error
            raise

    async def _connect(self) -> _Held:
        self._open += 1
        try:
            connection = await asyncpg.connect(
                self._url.reveal(),
                timeout=self._limits.connect_timeout.total_seconds(),
                server_settings=self._server_settings,
                max_cached_statement_lifetime=0,
                # The server stops a slow statement itself; this is for a server that no longer answers at all.
                command_timeout=self._limits.statement_timeout.total_seconds() + 0.5,
            )
        except BaseException as error:
            self._open -= 1
            self._wake()
            if _is_outage(error):
                log.warning("database.unreachable", error=type(error).__name__)
                raise DatabaseUnavailable from error
            raise
        return _Held(connection, monotonic() + self._limits.max_lifetime.total_seconds())

    def _release(self, held: _Held) -> None:
        DATABASE_CONNECTIONS_ACTIVE.dec()
        if held.is_reusable() and self._open <= self._limits.max_connections:
            self._hand_on(held)
        else:
            self._discard(held)

    def _hand_on(self, held: _Held) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(held)
                return
        self._idle.append(held)

    def _discard(self, held: _Held) -> None:
        held.connection.terminate()
        self._open -= 1
        self._wake()

    def _wake(self) -> None:
        """Let one waiter open a connection in the place of one that is gone."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


async def _roll_back(connection: "Connection[Record]") -> None:
    try:
        await connection.execute("ROLLBACK")
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        # The connection is in an unknown state; `is_in_transaction` then keeps it from being reused.
        log.warning("database.rollback_failed", error=type(error).__name__)


_OUTAGES = (
    OSError,  # TimeoutError is one
    asyncpg.PostgresConnectionError,
    asyncpg.InternalClientError,  # the server has said goodbye to this connection, its end is still on the way
    asyncpg.OperatorInterventionError,  # shutdown, crash, statement timeout
    asyncpg.InsufficientResourcesError,  # disk full, too many connections
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.ReadOnlySQLTransactionError,  # a fail-over is under way
)


def _is_outage(error: BaseException) -> bool:
    if isinstance(error, asyncpg.InterfaceError):
        return not isinstance(
            error, ValueError
        )  # a ValueError is our own bad argument, the rest a lost connection
    return isinstance(error, _OUTAGES)
