"""Application time. Expiry and windows are decided by the database's `keystead_now()` instead."""

from datetime import UTC, datetime


class Clock:
    """The one place that reads the wall clock; tests pass their own."""

    def now(self) -> datetime:
        return datetime.now(UTC)
