"""The table of events: added to, never changed."""

from keystead.audit.types import Event
from keystead.kernel.db import Runner

ADD_EVENT = """
    INSERT INTO audit_events (event, actor_id, subject_id, session_id, request_id, detail)
    VALUES ($1, $2, $3, $4, $5, $6::text::jsonb)
"""


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
