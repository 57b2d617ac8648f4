"""Jobs: what a process does beside answering, again and again, whatever goes wrong in between."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from keystead.kernel.errors import Unavailable

log = structlog.get_logger("jobs")

_LAST_ROUND = timedelta(seconds=5)


async def keep_doing(name: str, work: Callable[[], Awaitable[object]], *, every: timedelta) -> None:
    """Do `work` until cancelled; a round that says True, because there is more, is followed by the next at once.

    A round that is under way then is given a moment to finish what it has begun.
    """
    while True:
        more = False
        try:
            more = await _one_round(work) is True
        except Unavailable:
            log.warning("job.postponed", job=name)
        except Exception:  # a job that ended would be missed by nobody
            log.exception("job.failed", job=name)
        if not more:
            await asyncio.sleep(every.total_seconds())


async def _one_round(work: Callable[[], Awaitable[object]]) -> object:
    task = asyncio.ensure_future(work())
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=_LAST_ROUND.total_seconds())
        task.cancel()
        raise
