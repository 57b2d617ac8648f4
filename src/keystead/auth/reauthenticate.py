"""Reauthenticate: a fresh proof of identity, in a new session that takes the place of the old one."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from keystead.applications.book import Applications
from keystead.audit import trail
from keystead.audit.types import Event, EventName
from keystead.auth.refusals import LoginRefused
from keystead.auth.start_session import Holder, Overtaken, StartSession
from keystead.auth.token_pair import TOKEN_REFUSALS, IssueTokenPair, TokenPair
from keystead.jwt.types import AccessClaims
from keystead.jwt.verifier import TokenVerifier
from keystead.kernel.application import Application
from keystead.kernel.caller import Access, NotSignedIn, Origin
from keystead.kernel.clock import Clock
from keystead.kernel.db import Database
from keystead.kernel.errors import InvalidInput, Overloaded
from keystead.kernel.ids import SessionId, UserId, new_uuid
from keystead.kernel.telemetry import AUTH_ATTEMPTS
from keystead.limits.guesses import Guesses, TooManyAttempts
from keystead.limits.sources import GuessSources
from keystead.limits.types import RouteClass
from keystead.sessions.types import LiveSession
from keystead.users.passwords import Hasher, require_hashable

AMR = ("pwd",)

# Joins sessions, users, data keys and the installation: the caller's session, open, or replaced a moment ago by this
# very act, whose answer may have been lost.
FIND_REPLACEABLE = """
    SELECT s.replaced_by, u.id AS user_id, u.password_hash, u.password_version,
           k.wrapped AS data_key_wrapped,
           ARRAY(SELECT r.role FROM user_roles r WHERE r.user_id = u.id ORDER BY r.role) AS roles,
           s.absolute_expires_at AS expires_at, keystead_now() AS now
      FROM sessions s
      JOIN users u ON u.id = s.user_id
      JOIN data_keys k ON k.owner_id = u.id
      JOIN installation i ON i.epoch = s.epoch
     WHERE s.id = $1 AND s.user_id = $2 AND u.status = 'active'
       AND keystead_now() < least(s.idle_expires_at, s.absolute_expires_at)
       AND (s.ended_at IS NULL OR s.ended_because = 'reauthenticated' AND keystead_now() < s.ended_at + $3::interval)
"""
# Nobody has used it yet: whoever repeats the act gets the same refresh token, and the chain does not fork.
FIND_SUCCESSOR = """
    SELECT s.id, s.user_id, s.client_id, s.generation, s.amr, s.auth_time, s.actor_id,
           ARRAY(SELECT r.role FROM user_roles r WHERE r.user_id = s.user_id ORDER BY r.role) AS roles,
           s.idle_expires_at AS expires_at, keystead_now() AS now
      FROM sessions s
     WHERE s.id = (SELECT o.replaced_by FROM sessions o WHERE o.id = $1)
       AND s.ended_at IS NULL AND s.generation = 1
"""


@dataclass(frozen=True, slots=True)
class Replaceable:
    """The caller's session, and what the password is checked against."""

    replaced_by: SessionId | None
    user_id: UserId
    password_hash: str
    password_version: int
    data_key_wrapped: bytes
    roles: list[str]
    expires_at: datetime
    now: datetime

    def successor(self, client_id: str) -> LiveSession:
        """The session that will take its place, as far as its first token says it."""
        return LiveSession(
            id=SessionId(new_uuid()),
            user_id=self.user_id,
            client_id=client_id,
            generation=1,
            amr=AMR,
            auth_time=self.now,
            actor_id=None,
            roles=tuple(self.roles),
            expires_at=self.expires_at,
            now=self.now,
        )


@dataclass(frozen=True, slots=True)
class Reauthenticate:
    """A new session with a fresh `auth_time`; the old one has ended. Safe to repeat for as long as a refresh is. Where
    the new one's token is refused, the old one goes on.

    Raises NotSignedIn, LoginRefused for a wrong password, TooManyAttempts, InvalidInput, Overloaded.
    """

    db: Database
    clock: Clock
    verifier: TokenVerifier
    hasher: Hasher
    guesses: Guesses
    sources: GuessSources
    applications: Applications
    start_session: StartSession
    issue_token_pair: IssueTokenPair
    requires: ClassVar = Access.SIGNED_IN_WITH_PASSWORD
    limited_as: ClassVar = RouteClass.PROOF
    refuses: ClassVar = (
        NotSignedIn,
        LoginRefused,
        InvalidInput,
        Overloaded,
        TooManyAttempts,
        *TOKEN_REFUSALS,
    )

    async def __call__(self, access_token: str, *, password: str, origin: Origin) -> TokenPair:
        claims = await self.verifier.verify_session(access_token, now=self.clock.now())
        application = await self.applications.require(claims.client_id)
        require_hashable(password)
        guess = self.sources.of_session(claims.user_id, claims.session_id)
        async with self.guesses.line(guess):
            with self.hasher.place(is_known=True) as place:
                found = await self._find(claims, application)
                async with self.guesses.attempt(guess) as attempt:
                    if not await self.hasher.verify(found.password_hash, password, place=place):
                        await attempt.fail(self.db)
                        raise await self._refusal(claims)
                    await attempt.succeed(self.db)
        AUTH_ATTEMPTS.labels("reauthenticate", "admitted").inc()
        if found.replaced_by is None:
            wanted = found.successor(application.client_id)
            more = await self.issue_token_pair.try_out(wanted)
            session = await self._replace(claims, found, wanted.id, origin, application)
            if session is not None:
                return await self.issue_token_pair(session, more)
        return await self.issue_token_pair(await self._find_successor(claims.session_id))

    async def _find(self, claims: AccessClaims, application: Application) -> Replaceable:
        row = await self.db.fetch_row(
            FIND_REPLACEABLE, claims.session_id, claims.user_id, application.lifetimes.reuse_window
        )
        if row is None:
            raise NotSignedIn
        return Replaceable(*row)

    async def _replace(
        self,
        claims: AccessClaims,
        found: Replaceable,
        successor: SessionId,
        origin: Origin,
        application: Application,
    ) -> LiveSession | None:
        """None where another call of this session was faster."""
        try:
            async with self.db.begin() as tx:
                session = await self.start_session(
                    tx,
                    Holder(found.user_id, found.data_key_wrapped, found.password_version),
                    origin=origin,
                    application=application,
                    amr=AMR,
                    session_id=successor,
                    replaces=claims.session_id,
                )
        except Overtaken:
            return None
        if session is None:  # disabled, or the password changed while this one was being hashed
            raise await self._refusal(claims)
        return session

    async def _find_successor(self, session_id: SessionId) -> LiveSession:
        row = await self.db.fetch_row(FIND_SUCCESSOR, session_id)
        if row is None:
            raise NotSignedIn
        return LiveSession(*row)

    async def _refusal(self, claims: AccessClaims) -> LoginRefused:
        AUTH_ATTEMPTS.labels("reauthenticate", "refused").inc()
        await trail.record(
            self.db,
            Event(
                EventName.REAUTHENTICATION_FAILED,
                actor_id=claims.user_id,
                subject_id=claims.user_id,
                session_id=claims.session_id,
            ),
        )
        return LoginRefused()
