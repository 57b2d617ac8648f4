"""The table of sessions. Starting and rotating join other rooms and stand with their verbs in `auth`."""

from dataclasses import dataclass
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
END_SESSIONS_OF_USER = """
    UPDATE sessions
       SET ended_at = keystead_now(), ended_because = $2
     WHERE user_id = $1 AND ended_at IS NULL
 RETURNING id, user_id
"""


@dataclass(frozen=True, slots=True)
class EndedSession:
    id: SessionId
    user_id: UserId


async def end(db: Runner, session_id: SessionId, because: EndReason) -> EndedSession | None:
    """None where it had ended, or never was."""
    row = await db.fetch_row(END_SESSION, session_id, because.value)
    return EndedSession(*row) if row else None


async def end_all_of_user(db: Runner, user_id: UUID, because: EndReason) -> list[EndedSession]:
    """The sessions that this ended."""
    return [EndedSession(*row) for row in await db.fetch(END_SESSIONS_OF_USER, user_id, because.value)]
