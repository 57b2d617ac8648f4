"""A copy of rows that others may change: read again every few seconds, and when somebody names what is unknown here."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from time import monotonic
from typing import Never

import structlog

from keystead.kernel.errors import Unavailable

log = structlog.get_logger("fresh_copy")

LOOK_AGAIN_INTERVAL = timedelta(seconds=2)


class FreshCopy:
    """Keeps what `read` holds fresh. One reading at a time: of two, the slower could bring back what the faster saw
    gone, or take away again what it saw come."""

    def __init__(self, name: str, read: Callable[[], Awaitable[None]], *, every: timedelta) -> None:
        self._name = name
        self._read = read
        self._every = every
        self._look_again_from = 0.0
        self._flight: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    async def read_now(self) -> None:
        """Read what there is at this moment, and raise what reading raises. A reading that is under way, and may have
        seen less, is waited for."""
        async with self._turn:
            await self._read()

    async def keep_fresh(self) -> Never:
        """Read again for ever. A failure is logged and what was held is held on."""
        while True:
            await asyncio.sleep(self._every.total_seconds())
            await self._join_flight()

    async def look_again(self) -> bool:
        """Read because something is unknown here; whether that was tried.

        One reading, however many ask, and none within two seconds of the last that was asked for.
        """
        if self._flight is None:
            if monotonic() < self._look_again_from:
                return False
            self._look_again_from = monotonic() + LOOK_AGAIN_INTERVAL.total_seconds()
        await self._join_flight()
        return True

    async def _join_flight(self) -> None:
        if self._flight is None:
            self._flight = asyncio.create_task(self._try_to_read())
            self._flight.add_done_callback(self._land)
        await asyncio.shield(self._flight)  # one request that goes away does not stop the others' reading

    async def _try_to_read(self) -> None:
        try:
            await self.read_now()
        except Unavailable:
            log.warning("copy.not_refreshed", of=self._name)
        except Exception:
            log.exception("copy.refresh_broke", of=self._name)

    def _land(self, _flight: "asyncio.Task[None]") -> None:
        self._flight = None
