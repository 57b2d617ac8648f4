"""A breaker: after failures in a row a hook is left alone for a while, and then tried once."""

from collections.abc import Callable
from datetime import timedelta
from time import monotonic

FAILURES = 5
REST = timedelta(seconds=10)


class Breaker:
    """Of one hook in one process."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._failures = 0
        self._closed_from = 0.0

    def admits(self) -> bool:
        """Whether to call. The first that comes after the rest tries for all: until it is known, others do not."""
        if self._failures < FAILURES:
            return True
        if self._now() < self._closed_from:
            return False
        self._closed_from = self._now() + REST.total_seconds()
        return True

    def note(self, *, success: bool) -> None:
        if success:
            self._failures = 0
            return
        self._failures += 1
        if self._failures >= FAILURES:
            self._closed_from = self._now() + REST.total_seconds()
