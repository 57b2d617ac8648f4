"""Logout: the end of one session or of all of a user's."""

from dataclasses import dataclass
from typing import ClassVar

from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.auth.refusals import RefreshRefused
from keystead.kernel.caller import Access, Caller
from keystead.kernel.db import Database, Tx
from keystead.kernel.ids import SessionId
from keystead.sessions import store
from keystead.sessions.refresh_token import RefreshTokens
from keystead.sessions.store import EndedSession
from keystead.sessions.types import EndReason


@dataclass(frozen=True, slots=True)
class Logout:
    """Ends the caller's session. Once it returns, no token of that session works on any worker."""

    db: Database
    requires: ClassVar = Access.SIGNED_IN_OR_REFRESH_TOKEN
    refuses: ClassVar = (RefreshRefused,)

    async def __call__(self, session_id: SessionId) -> None:
        async with self.db.begin() as tx:
            ended = await store.end(tx, session_id, EndReason.LOGOUT)
            if ended is not None:
                await _record(tx, ended, EndReason.LOGOUT)


@dataclass(frozen=True, slots=True)
class LogoutWithRefreshToken:
    """Ends the session of a genuine refresh token, of whatever generation. Raises RefreshRefused for a forgery.

    A session that had ended already is no error: the caller has what they wanted (as in RFC 7009 §2.2).
    """

    logout: Logout
    refresh_tokens: RefreshTokens

    async def __call__(self, token: str) -> None:
        claim = self.refresh_tokens.read(token)
        if claim is None:
            raise RefreshRefused
        await self.logout(claim.session_id)


@dataclass(frozen=True, slots=True)
class LogoutAll:
    """Ends every session of the caller, this one included."""

    db: Database
    requires: ClassVar = Access.SIGNED_IN

    async def __call__(self, caller: Caller) -> None:
        async with self.db.begin() as tx:
            for ended in await store.end_all_of_user(tx, caller.user_id, EndReason.LOGOUT_ALL):
                await _record(tx, ended, EndReason.LOGOUT_ALL)


async def _record(tx: Tx, ended: EndedSession, because: EndReason) -> None:
    await trail.record(
        tx,
        Event(
            EventName.SESSION_ENDED,
            actor_id=ended.user_id,
            subject_id=ended.user_id,
            session_id=ended.id,
            detail={"because": because.value},
        ),
    )
