"""The tables of service accounts, their keys, and people's API keys."""

from datetime import timedelta
from uuid import UUID

from keystead.kernel.db import Runner

TOUCH_API_KEY = """
    UPDATE api_keys
       SET last_used_at = keystead_now()
     WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= keystead_now() - $2::interval)
"""


async def touch_api_key(db: Runner, key_id: UUID, *, every: timedelta) -> None:
    """Note the use, unless one was noted so short a time ago."""
    await db.execute(TOUCH_API_KEY, key_id, every)
