"""The table of erasures: who was erased and when, for a log that outlives this database."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from keystead.kernel.db import Database, Runner
from keystead.kernel.ids import UserId

ADD_ERASURE = "INSERT INTO erasures (user_id) VALUES ($1) ON CONFLICT DO NOTHING"
LIST_UNLOGGED = """
    SELECT user_id, erased_at FROM erasures WHERE logged_at IS NULL ORDER BY erased_at LIMIT $1 FOR UPDATE SKIP LOCKED
"""
LIST_ERASURES = "SELECT user_id, erased_at FROM erasures ORDER BY erased_at, user_id"
MARK_LOGGED = "UPDATE erasures SET logged_at = keystead_now() WHERE user_id = ANY($1::uuid[])"


@dataclass(frozen=True, slots=True)
class Erasure:
    user_id: UserId
    erased_at: datetime


async def add(db: Runner, user_id: UUID) -> None:
    await db.execute(ADD_ERASURE, user_id)


async def list_unlogged(db: Runner, *, limit: int) -> list[Erasure]:
    """Those that are in no log yet, locked until the transaction ends."""
    return [Erasure(*row) for row in await db.fetch(LIST_UNLOGGED, limit)]


async def list_all(db: Runner) -> list[Erasure]:
    return [Erasure(*row) for row in await db.fetch(LIST_ERASURES)]


async def mark_logged(db: Runner, user_ids: list[UserId]) -> None:
    await db.execute(MARK_LOGGED, user_ids)


@dataclass(frozen=True, slots=True)
class ListErasures:
    """Every erasure there was, the oldest first: for the operator, to be kept off this host."""

    db: Database

    async def __call__(self) -> list[Erasure]:
        return await list_all(self.db)
