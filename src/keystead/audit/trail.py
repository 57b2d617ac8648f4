"""`trail.record`: one event, in the caller's transaction; `trail.record_all`: many."""

from collections.abc import Sequence

import msgspec

from keystead.audit import store
from keystead.audit.types import Event
from keystead.kernel.db import Runner
from keystead.kernel.telemetry import current_request_id


async def record(db: Runner, event: Event) -> None:
    """Write `event` where its cause is written: both are committed or neither is."""
    detail = msgspec.json.encode(event.detail).decode()
    await store.add(db, event, request_id=current_request_id(), detail=detail)


async def record_all(db: Runner, events: Sequence[Event]) -> None:
    """As `record`, in the order given."""
    details = [msgspec.json.encode(event.detail).decode() for event in events]
    await store.add_all(db, events, request_id=current_request_id(), details=details)
