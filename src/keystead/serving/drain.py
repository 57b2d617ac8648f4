"""Drain: a stopping worker says that it is not ready, goes on accepting for a while, then stops."""

import asyncio


class Drain:
    """Started by the first signal; a second one ends the wait."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._started = asyncio.Event()
        self._hurried = asyncio.Event()

    @property
    def is_draining(self) -> bool:
        return self._started.is_set()

    def start(self) -> None:
        if self.is_draining:
            self._hurried.set()
        self._started.set()

    async def finished(self) -> None:
        """Returns when load balancers have had their time to look elsewhere, or somebody is in a hurry."""
        await self._started.wait()
        try:
            async with asyncio.timeout(self._seconds):
                await self._hurried.wait()
        except TimeoutError:
            return
