"""The end of a session that started and whose first token was refused."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from keystead.hooks.types import HookRefused, HookUnavailable
from keystead.jwt.issuer import TokenTooLarge
from keystead.kernel.db import Database
from keystead.kernel.telemetry import AUTH_ATTEMPTS
from keystead.sessions import store
from keystead.sessions.listing import record_end
from keystead.sessions.types import EndReason, LiveSession


@asynccontextmanager
async def ended_if_refused(db: Database, session: LiveSession, action: str) -> AsyncIterator[None]:
    """A session that just started ends when a hook refuses in the block, or must be asked and is not there, and when
    its token would be too large.

    Nobody holds a token of it: left open, each such attempt would count against the sessions that a person may have.
    """
    try:
        yield
    except (HookRefused, HookUnavailable, TokenTooLarge) as refusal:
        because = EndReason.TOKEN_TOO_LARGE if isinstance(refusal, TokenTooLarge) else EndReason.HOOK_REFUSED
        AUTH_ATTEMPTS.labels(action, because.value).inc()
        async with db.begin() as tx:
            ended = await store.end(tx, session.id, because)
            if ended is not None:
                await record_end(tx, ended, because, actor_id=None)
        raise
