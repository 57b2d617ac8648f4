"""Logout: the end of one session or of all of a user's."""

from dataclasses import dataclass
from typing import ClassVar

from keystead.auth.refusals import RefreshRefused
from keystead.kernel.caller import Access, Caller
from keystead.kernel.db import Database
from keystead.kernel.ids import SessionId
from keystead.sessions import store
from keystead.sessions.listing import end_all, record_end
from keystead.sessions.refresh_token import RefreshTokens
from keystead.sessions.types import EndReason
from keystead.users import store as users


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
                await record_end(tx, ended, EndReason.LOGOUT, actor_id=ended.user_id)


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
            await users.load_for_update(tx, caller.user_id)  # a session that is being started is waited for
            await end_all(tx, caller, caller.user_id, EndReason.LOGOUT_ALL)
