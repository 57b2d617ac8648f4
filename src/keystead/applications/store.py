"""The table of applications that administrators made."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from keystead.kernel.db import Runner

MAX_STORED = 200

LIST = """
    SELECT a.client_id, a.definition, a.created_at, a.updated_at
      FROM applications a
     WHERE a.deleted_at IS NULL
     ORDER BY a.client_id
"""
LOCK = """
    SELECT a.client_id, a.definition, a.created_at, a.updated_at
      FROM applications a
     WHERE a.client_id = $1 AND a.deleted_at IS NULL
       FOR UPDATE
"""
# Whoever adds one waits for whoever adds another, and then counts it.
LOCK_ALL = "LOCK TABLE applications IN SHARE ROW EXCLUSIVE MODE"
COUNT = "SELECT count(*) FROM applications WHERE deleted_at IS NULL"
ADD = """
    INSERT INTO applications (client_id, definition)
    VALUES ($1, $2)
        ON CONFLICT DO NOTHING
 RETURNING client_id
"""
REPLACE = """
    UPDATE applications
       SET definition = $2, updated_at = keystead_now()
     WHERE client_id = $1 AND deleted_at IS NULL
 RETURNING client_id
"""
# The name stays taken: tokens and sessions of the deleted one must not become those of another.
DELETE = """
    UPDATE applications
       SET definition = '{}', deleted_at = keystead_now()
     WHERE client_id = $1 AND deleted_at IS NULL
 RETURNING client_id
"""
LIST_DELETED = """
    SELECT client_id, deleted_at FROM applications WHERE keystead_now() - $1::interval < deleted_at
"""


@dataclass(frozen=True, slots=True)
class StoredApplication:
    """`definition` is JSON, of an object."""

    client_id: str
    definition: str
    created_at: datetime
    updated_at: datetime

    @property
    def members(self) -> dict[str, Any]:
        members: dict[str, Any] = json.loads(self.definition)
        return members


@dataclass(frozen=True, slots=True)
class DeletedApplication:
    client_id: str
    deleted_at: datetime


async def list_all(db: Runner) -> list[StoredApplication]:
    return [StoredApplication(*row) for row in await db.fetch(LIST)]


async def list_deleted(db: Runner, *, within: timedelta) -> list[DeletedApplication]:
    """Those that were deleted so short a while ago."""
    return [DeletedApplication(*row) for row in await db.fetch(LIST_DELETED, within)]


async def find_for_update(db: Runner, client_id: str) -> StoredApplication | None:
    row = await db.fetch_row(LOCK, client_id)
    return StoredApplication(*row) if row else None


async def is_full(db: Runner) -> bool:
    """Whether there is room for no other; nobody else adds one until the transaction ends."""
    await db.execute(LOCK_ALL)
    row = await db.fetch_row(COUNT)
    return row is not None and int(row["count"]) >= MAX_STORED


async def add(db: Runner, client_id: str, members: Mapping[str, Any]) -> bool:
    """False where the name is, or was, taken."""
    return await db.fetch_row(ADD, client_id, json.dumps(members)) is not None


async def replace(db: Runner, client_id: str, members: Mapping[str, Any]) -> None:
    await db.execute(REPLACE, client_id, json.dumps(members))


async def delete(db: Runner, client_id: str) -> bool:
    """False where there was none."""
    return await db.fetch_row(DELETE, client_id) is not None
