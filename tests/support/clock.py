"""Time that tests move: the application's and the database's together."""

from datetime import datetime, timedelta

import asyncpg

from keystead.kernel.clock import Clock

_REPLACE = """
    CREATE OR REPLACE FUNCTION keystead_now() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE
    AS $$ SELECT pg_catalog.clock_timestamp() + interval '{microseconds} microseconds' $$
"""


class MovableClock(Clock):
    """`await clock.advance(timedelta(hours=1))`."""

    def __init__(self, owner_url: str) -> None:
        self._owner_url = owner_url
        self._ahead = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self._ahead

    async def advance(self, by: timedelta) -> None:
        self._ahead += by
        connection = await asyncpg.connect(self._owner_url)
        try:
            await connection.execute(_REPLACE.format(microseconds=self._ahead // timedelta(microseconds=1)))
        finally:
            await connection.close()
