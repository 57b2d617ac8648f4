"""A breaker: a service that keeps failing is left alone for a while, and then tried once."""

from collections import deque
from collections.abc import Callable
from datetime import timedelta
from time import monotonic

IN_A_ROW = 5
RECENT = 20
REST = timedelta(seconds=10)


class Breaker:
    """Of one service in one process. It opens after five failures in a row, or when half of the last twenty failed."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._recent: deque[bool] = deque(maxlen=RECENT)
        self._rests_until: float | None = None
        self._is_trying = False

    @property
    def is_open(self) -> bool:
        return self._rests_until is not None

    @property
    def is_resting(self) -> bool:
        """Whether a call would not be admitted. Unlike `admits`, it tries nothing."""
        return self._rests_until is not None and self._now() < self._rests_until

    def admits(self) -> bool:
        """Whether to call. The first that comes after the rest tries for all: until it is known, others do not."""
        if self._rests_until is None:
            return True
        if self.is_resting:
            return False
        self._is_trying = True
        self._rest()
        return True

    def note(self, *, success: bool) -> None:
        """How a call went that was admitted. While it rests, only that of the one that tries counts."""
        if self.is_open:
            if self._is_trying:
                self._end_trial(success=success)
            return
        self._recent.append(success)
        last = list(self._recent)[-IN_A_ROW:]
        if self._recent.count(False) >= RECENT / 2 or last == [False] * IN_A_ROW:
            self._rest()

    def _end_trial(self, *, success: bool) -> None:
        self._is_trying = False
        if success:
            self._rests_until = None
            self._recent.clear()
        else:
            self._rest()

    def _rest(self) -> None:
        self._rests_until = self._now() + REST.total_seconds()
