"""Issue a session in somebody's name, as an administrator who helps them."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from keystead.applications.book import Applications
from keystead.auth.end_refused import ended_if_refused
from keystead.auth.start_session import Holder, StartSession
from keystead.auth.token_pair import TOKEN_REFUSALS, IssueTokenPair, TokenPair
from keystead.kernel.caller import Caller, Origin, Permission, PermissionMissing, SessionRequired
from keystead.kernel.db import Database, Tx
from keystead.kernel.errors import InvalidInput
from keystead.kernel.ids import SessionId, UserId, new_uuid
from keystead.roles.book import RoleBook
from keystead.sessions.types import LiveSession, SessionNotFound
from keystead.tickets.repeats import Repeats
from keystead.tickets.types import KeyReused, Once
from keystead.users import store as users
from keystead.users.types import UserNotFound

FIND_ISSUED = """
    SELECT s.id, s.user_id, s.client_id, s.generation, s.amr, s.auth_time, s.actor_id,
           ARRAY(SELECT r.role FROM user_roles r WHERE r.user_id = s.user_id ORDER BY r.role) AS roles,
           s.idle_expires_at AS expires_at, keystead_now() AS now
      FROM sessions s
     WHERE s.id = $1 AND s.actor_id = $2 AND s.ended_at IS NULL AND s.generation = 1
"""


@dataclass(frozen=True, slots=True)
class IssueSession:
    """A session whose tokens name the administrator (`act`) and which never satisfies a step-up: nothing was proven.

    Raises UserNotFound, PermissionMissing for a user who may do what the caller may not, KeyReused, and SessionNotFound
    where a repeated request comes after its session was used or ended.
    """

    db: Database
    applications: Applications
    role_book: RoleBook
    repeats: Repeats
    start_session: StartSession
    issue_token_pair: IssueTokenPair
    requires: ClassVar = Permission.SESSIONS_ISSUE
    refuses: ClassVar = (
        UserNotFound,
        PermissionMissing,
        SessionRequired,
        InvalidInput,
        KeyReused,
        SessionNotFound,
        *TOKEN_REFUSALS,
    )

    async def __call__(
        self,
        caller: Caller,
        user_id: UserId,
        *,
        origin: Origin,
        client_id: str | None = None,
        once: Once | None = None,
    ) -> tuple[UserId, TokenPair]:
        caller.require(self.requires)
        caller.require_session()  # its tokens name a person who acts, and end with that person's right to
        application = await self.applications.choose(client_id)
        async with self.db.begin() as tx:
            wanted = SessionId(new_uuid())
            earlier = await self.repeats.claim(tx, once, str(wanted))
            if earlier is not None:
                session = await self._issued(tx, caller, SessionId(UUID(earlier)))
            else:
                stored = await users.load_for_update(tx, user_id)
                caller.require_covering(await self.role_book.of_user(tx, user_id))
                started = await self.start_session(
                    tx,
                    Holder(user_id, stored.data_key_wrapped, password_version=None),
                    origin=origin,
                    application=application,
                    amr=(),
                    session_id=wanted,
                    actor_id=caller.user_id,
                )
                if started is None:  # not active
                    raise UserNotFound
                session = started
        async with ended_if_refused(self.db, session, "issue_session"):
            return session.user_id, await self.issue_token_pair(session)

    async def _issued(self, tx: Tx, caller: Caller, session_id: SessionId) -> LiveSession:
        row = await tx.fetch_row(FIND_ISSUED, session_id, caller.user_id)
        if row is None:
            raise SessionNotFound
        return LiveSession(*row)
