"""The only place that starts a session."""

from dataclasses import dataclass

from keystead.audit.types import EventName
from keystead.kernel.db import Runner
from keystead.kernel.ids import SessionId, UserId, new_uuid
from keystead.kernel.telemetry import current_request_id
from keystead.sessions.types import Lifetimes, LiveSession

# Joins users, the installation and the trail, so that a login is one round trip after its hash. Guarded by the
# password's version: a session never starts on a password that was changed while it was being checked.
START_SESSION = """
    WITH proven AS MATERIALIZED (
        SELECT u.id AS user_id, i.epoch, keystead_now() AS now
          FROM users u CROSS JOIN installation i
         WHERE u.id = $2 AND u.status = 'active' AND u.password_version = $3
           FOR SHARE OF u
    ), started AS (
        INSERT INTO sessions (id, user_id, client_id, epoch, rotated_at, amr, auth_time, created_at,
                              idle_expires_at, absolute_expires_at)
        SELECT $1, user_id, $4, epoch, now, $5, now, now, least(now + $6::interval, now + $7::interval),
               now + $7::interval
          FROM proven
        RETURNING id, user_id, client_id, generation, amr, auth_time, idle_expires_at, created_at
    ), recorded AS (
        INSERT INTO audit_events (at, event, actor_id, subject_id, session_id, request_id)
        SELECT created_at, $8, user_id, user_id, id, $9 FROM started
    )
    SELECT s.id, s.user_id, s.client_id, s.generation, s.amr, s.auth_time,
           ARRAY(SELECT r.role FROM user_roles r WHERE r.user_id = s.user_id ORDER BY r.role) AS roles,
           s.idle_expires_at AS expires_at, s.created_at AS now
      FROM started s
"""


@dataclass(frozen=True, slots=True)
class StartSession:
    """Starts a session for an active user whose password is still of the version that was checked."""

    client_id: str
    lifetimes: Lifetimes

    async def __call__(
        self, db: Runner, user_id: UserId, *, password_version: int, amr: tuple[str, ...]
    ) -> LiveSession | None:
        """None where the user is no longer active or the password has changed meanwhile."""
        row = await db.fetch_row(
            START_SESSION,
            SessionId(new_uuid()),
            user_id,
            password_version,
            self.client_id,
            amr,
            self.lifetimes.idle,
            self.lifetimes.absolute,
            EventName.SESSION_STARTED.value,
            current_request_id(),
        )
        return LiveSession(*row) if row else None
