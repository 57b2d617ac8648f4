"""A gate between the workers and PostgreSQL: whoever stands at it decides what passes, and when."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import Enum, auto
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.support.databases import Urls

_SOCKET = ".s.PGSQL.5432"
_CHUNK = 1 << 16
# ReadyForQuery, outside a transaction: the end of the answer to what has been committed or rolled back.
SETTLED = b"Z\x00\x00\x00\x05I"


class Way(Enum):
    TO_DATABASE = auto()
    TO_WORKER = auto()


# Told the way and the bytes; False cuts the connection instead of letting them pass.
Guard = Callable[[Way, bytes], Awaitable[bool]]


async def open_to_all(_way: Way, _chunk: bytes) -> bool:
    return True


class Gate:
    """`guard` may be replaced at any moment. `urls` lead through the gate."""

    def __init__(self, urls: Urls, folder: Path) -> None:
        behind = parse_qs(urlsplit(urls.runtime).query)["host"][0]
        self._database = f"{behind}/{_SOCKET}"
        self.urls = Urls(urls.owner, urls.runtime.replace(behind, str(folder)))
        self.guard: Guard = open_to_all
        self._passing: set[asyncio.Task[None]] = set()

    async def admit(self, from_worker: asyncio.StreamReader, to_worker: asyncio.StreamWriter) -> None:
        """One connection, from its start to its end or its cut."""
        here = asyncio.current_task()
        assert here is not None
        self._passing.add(here)
        try:
            from_database, to_database = await asyncio.open_unix_connection(self._database)
            try:
                await _first_to_end(
                    self._pass(Way.TO_DATABASE, from_worker, to_database),
                    self._pass(Way.TO_WORKER, from_database, to_worker),
                )
            finally:
                to_database.transport.abort()
        finally:
            to_worker.transport.abort()
            self._passing.discard(here)

    async def close(self) -> None:
        for task in self._passing:
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _pass(self, way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while chunk := await reader.read(_CHUNK):
                if not await self.guard(way, chunk):
                    return
                writer.write(chunk)
                await writer.drain()


@asynccontextmanager
async def gate_before(urls: Urls) -> AsyncIterator[Gate]:
    """A gate on a Unix socket of its own; what still passes at the end of the block is cut."""
    with tempfile.TemporaryDirectory(prefix="keystead-gate-") as folder:
        gate = Gate(urls, Path(folder))
        server = await asyncio.start_unix_server(gate.admit, Path(folder) / _SOCKET)
        try:
            yield gate
        finally:
            server.close()
            await gate.close()


async def _first_to_end(*ways: "Awaitable[None]") -> None:
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
