"""The table of sessions. Starting and rotating join other rooms and stand with their verbs in `auth`."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from keystead.kernel.db import Runner
from keystead.kernel.ids import SessionId, UserId
from keystead.sessions.types import EndReason

END_SESSION = """
    UPDATE sessions
       SET ended_at = keystead_now(), ended_because = $2
     WHERE id = $1 AND ended_at IS NULL
 RETURNING id, user_id
"""
REPLACE_SESSION = """
    UPDATE sessions
       SET ended_at = keystead_now(), ended_because = 'reauthenticated', replaced_by = $2
     WHERE id = $1 AND ended_at IS NULL
 RETURNING id, user_id
"""
END_SESSIONS_OF_USER = """
    UPDATE sessions
       SET ended_at = keystead_now(), ended_because = $2
     WHERE user_id = $1 AND ended_at IS NULL AND id IS DISTINCT FROM $3
 RETURNING id, user_id
"""
# Those that somebody else started in the user's name.
END_ISSUED_OF_USER = """
    UPDATE sessions
       SET ended_at = keystead_now(), ended_because = $2
     WHERE user_id = $1 AND ended_at IS NULL AND actor_id IS NOT NULL
 RETURNING id, user_id
"""
END_OF_APPLICATION = """
    UPDATE sessions
       SET ended_at = keystead_now(), ended_because = $2
     WHERE id IN (SELECT id FROM sessions WHERE client_id = $1 AND ended_at IS NULL AND created_at < $3
                   LIMIT $4 FOR UPDATE SKIP LOCKED)
 RETURNING id, user_id
"""
# More than a page of them is nothing that a person looks through: `auth.max_sessions` bounds them.
LIST_LIVE = """
    SELECT s.id, s.user_id, s.client_id, s.device_sealed, s.amr, s.auth_time, s.actor_id, s.created_at,
           s.rotated_at AS last_seen_at, least(s.idle_expires_at, s.absolute_expires_at) AS expires_at
      FROM sessions s
     WHERE s.user_id = $1 AND s.ended_at IS NULL
       AND keystead_now() < least(s.idle_expires_at, s.absolute_expires_at)
       AND ($2::uuid IS NULL OR s.id < $2)
     ORDER BY s.id DESC
     LIMIT $3
"""
FIND_LIVE = """
    SELECT s.id, s.user_id, s.client_id, s.device_sealed, s.amr, s.auth_time, s.actor_id, s.created_at,
           s.rotated_at AS last_seen_at, least(s.idle_expires_at, s.absolute_expires_at) AS expires_at
      FROM sessions s
     WHERE s.id = $1 AND s.ended_at IS NULL
       AND keystead_now() < least(s.idle_expires_at, s.absolute_expires_at)
"""
# A statement of its own: the index of a user's sessions does not hold somebody else's, so that one of a stranger takes
# as long as none.
FIND_LIVE_OF_USER = f"{FIND_LIVE.rstrip()}\n       AND s.user_id = $2\n"
LIST_OF_USER = """
    SELECT s.id, s.user_id, s.client_id, s.device_sealed, s.amr, s.auth_time, s.actor_id, s.created_at,
           s.rotated_at AS last_seen_at, least(s.idle_expires_at, s.absolute_expires_at) AS expires_at,
           s.ended_at, s.ended_because
      FROM sessions s
     WHERE s.user_id = $1
     ORDER BY s.created_at, s.id
"""
DELETE_OF_USER = "DELETE FROM sessions WHERE user_id = $1"
SWEEP = """
    DELETE FROM sessions
     WHERE id IN (SELECT id FROM sessions WHERE absolute_expires_at < keystead_now() - $1::interval
                   ORDER BY absolute_expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)
 RETURNING id
"""


@dataclass(frozen=True, slots=True)
class EndedSession:
    id: SessionId
    user_id: UserId


@dataclass(frozen=True, slots=True)
class StoredSession:
    id: SessionId
    user_id: UserId
    client_id: str
    device_sealed: bytes | None
    amr: list[str]
    auth_time: datetime | None
    actor_id: UserId | None
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class StoredHistory(StoredSession):
    """A session that may have ended."""

    ended_at: datetime | None
    ended_because: str | None


async def end(db: Runner, session_id: SessionId, because: EndReason) -> EndedSession | None:
    """None where it had ended, or never was."""
    row = await db.fetch_row(END_SESSION, session_id, because.value)
    return EndedSession(*row) if row else None


async def replace(db: Runner, session_id: SessionId, successor: SessionId) -> EndedSession | None:
    """End it in favour of `successor`. None where it had ended."""
    row = await db.fetch_row(REPLACE_SESSION, session_id, successor)
    return EndedSession(*row) if row else None


async def end_all_of_user(
    db: Runner, user_id: UUID, because: EndReason, *, but: SessionId | None = None
) -> list[EndedSession]:
    """The sessions that this ended; `but` goes on."""
    rows = await db.fetch(END_SESSIONS_OF_USER, user_id, because.value, but)
    return [EndedSession(*row) for row in rows]


async def end_issued_of_user(db: Runner, user_id: UUID, because: EndReason) -> list[EndedSession]:
    """As `end_all_of_user`, of the sessions that somebody else started in the user's name."""
    return [EndedSession(*row) for row in await db.fetch(END_ISSUED_OF_USER, user_id, because.value)]


async def end_of_application(
    db: Runner, client_id: str, because: EndReason, *, before: datetime, limit: int
) -> list[EndedSession]:
    """At most `limit` of the sessions that started before."""
    rows = await db.fetch(END_OF_APPLICATION, client_id, because.value, before, limit)
    return [EndedSession(*row) for row in rows]


async def list_live(db: Runner, user_id: UUID, *, before: UUID | None, limit: int) -> list[StoredSession]:
    """The newest first; those whose id is below `before`."""
    return [StoredSession(*row) for row in await db.fetch(LIST_LIVE, user_id, before, limit)]


async def find_live(db: Runner, session_id: UUID, *, of: UserId | None) -> StoredSession | None:
    """`of`: whose it must be; None for anybody's."""
    if of is None:
        row = await db.fetch_row(FIND_LIVE, session_id)
    else:
        row = await db.fetch_row(FIND_LIVE_OF_USER, session_id, of)
    return StoredSession(*row) if row else None


async def list_of_user(db: Runner, user_id: UUID) -> list[StoredHistory]:
    """Every session that is not swept yet, ended ones too."""
    return [StoredHistory(*row) for row in await db.fetch(LIST_OF_USER, user_id)]


async def delete_of_user(db: Runner, user_id: UUID) -> None:
    await db.execute(DELETE_OF_USER, user_id)


async def sweep(db: Runner, *, older_than: timedelta, limit: int) -> int:
    """Delete rows of sessions whose absolute end is so long ago; how many."""
    return len(await db.fetch(SWEEP, older_than, limit))
