"""The table of answers that were used."""

from datetime import datetime, timedelta

from keystead.kernel.db import Runner

# One statement consumes: of many at once, one is first, and the database's time decides whether it is in time.
USE_SOLVED = """
    INSERT INTO used_challenges (id_digest, expires_at)
    SELECT $1, $2 WHERE keystead_now() < $2::timestamptz
        ON CONFLICT DO NOTHING
 RETURNING id_digest
"""
USE_TOKEN = """
    INSERT INTO used_challenges (id_digest, expires_at)
    VALUES ($1, keystead_now() + $2::interval)
        ON CONFLICT DO NOTHING
 RETURNING id_digest
"""
SWEEP = """
    DELETE FROM used_challenges
     WHERE id_digest IN (SELECT id_digest FROM used_challenges
                          WHERE expires_at < keystead_now() - $1::interval
                          LIMIT $2 FOR UPDATE SKIP LOCKED)
 RETURNING id_digest
"""


async def use_solved(db: Runner, id_digest: bytes, *, expires_at: datetime) -> bool:
    """False where it was used before, or its time is over."""
    return await db.fetch_row(USE_SOLVED, id_digest, expires_at) is not None


async def use_token(db: Runner, id_digest: bytes, *, lifetime: timedelta) -> bool:
    """False where it was used within its lifetime."""
    return await db.fetch_row(USE_TOKEN, id_digest, lifetime) is not None


async def sweep(db: Runner, *, older_than: timedelta, limit: int) -> int:
    return len(await db.fetch(SWEEP, older_than, limit))
