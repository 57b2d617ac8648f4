"""The table of events: added to, never changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from keystead.audit.types import Event
from keystead.kernel.db import Runner

ADD_EVENT = """
    INSERT INTO audit_events (event, actor_id, subject_id, session_id, request_id, detail)
    VALUES ($1, $2, $3, $4, $5, $6::text::jsonb)
"""
ADD_EVENTS = """
    INSERT INTO audit_events (event, actor_id, subject_id, session_id, request_id, detail)
    SELECT e.event, e.actor_id, e.subject_id, e.session_id, $5, e.detail::jsonb
      FROM unnest($1::text[], $2::uuid[], $3::uuid[], $4::uuid[], $6::text[])
           WITH ORDINALITY AS e (event, actor_id, subject_id, session_id, detail, place)
     ORDER BY e.place
"""
LIST_OF_PERSON = """
    SELECT at, event, actor_id, subject_id, session_id, request_id, detail::text AS detail
      FROM audit_events WHERE subject_id = $1 ORDER BY id DESC LIMIT $2
"""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    at: datetime
    event: str
    actor_id: UUID | None
    subject_id: UUID | None
    session_id: UUID | None
    request_id: str | None
    detail: str


async def list_of_person(db: Runner, user_id: UUID, *, limit: int) -> list[StoredEvent]:
    """What happened to somebody, the newest first."""
    return [StoredEvent(*row) for row in await db.fetch(LIST_OF_PERSON, user_id, limit)]


async def add(db: Runner, event: Event, *, request_id: str | None, detail: str) -> None:
    await db.execute(
        ADD_EVENT,
        event.name.value,
        event.actor_id,
        event.subject_id,
        event.session_id,
        request_id,
        detail,
    )


async def add_all(
    db: Runner, events: Sequence[Event], *, request_id: str | None, details: Sequence[str]
) -> None:
    await db.execute(
        ADD_EVENTS,
        [event.name.value for event in events],
        [event.actor_id for event in events],
        [event.subject_id for event in events],
        [event.session_id for event in events],
        request_id,
        details,
    )
