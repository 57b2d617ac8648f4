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


async def freeze(owner_url: str, moment: datetime) -> None:
    """The database's time stands still."""
    connection = await asyncpg.connect(owner_url)
    try:
        await connection.execute(
            "CREATE OR REPLACE FUNCTION keystead_now() RETURNS timestamptz LANGUAGE sql VOLATILE PARALLEL SAFE "
            f"AS $$ SELECT timestamptz '{moment.isoformat()}' $$"
        )
    finally:
        await connection.close()
