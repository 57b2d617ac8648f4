"""The only place that starts a session."""

from dataclasses import dataclass

from keystead.audit.types import EventName
from keystead.kernel.application import Application
from keystead.kernel.caller import Origin
from keystead.kernel.db import Tx
from keystead.kernel.ids import SessionId, UserId, new_uuid
from keystead.kernel.telemetry import current_request_id
from keystead.notices import queue
from keystead.notices.types import MailKind
from keystead.sessions import store as sessions
from keystead.sessions.devices import device_of, index_device, seal_device
from keystead.sessions.listing import record_end
from keystead.sessions.types import Device, EndReason, LiveSession
from keystead.vault import DataKey, Vault

# Guarded by the password's version: a session never starts on a password that was changed while it was being checked.
# The lock is held until the session stands, so that of many sign-ins at once each counts what those before have left.
ADMIT = """
    SELECT i.epoch
      FROM users u CROSS JOIN installation i
     WHERE u.id = $1 AND u.status = 'active' AND ($2::integer IS NULL OR u.password_version = $2)
       FOR NO KEY UPDATE OF u
"""
# Joins sessions, roles and the trail. `known` and `surplus` see the table as it was before the new row.
START_SESSION = f"""
    WITH timed AS MATERIALIZED (
        SELECT keystead_now() AS now
    ), known AS MATERIALIZED (
        SELECT EXISTS (SELECT FROM sessions WHERE user_id = $2 AND device_index IS NOT NULL) AS any_device,
               EXISTS (SELECT FROM sessions WHERE user_id = $2 AND device_index = $10) AS this_device
    ), surplus AS MATERIALIZED (
        SELECT s.id
          FROM sessions s, timed
         WHERE s.user_id = $2 AND s.ended_at IS NULL
           AND timed.now < least(s.idle_expires_at, s.absolute_expires_at)
         ORDER BY s.created_at DESC, s.id DESC
        OFFSET $12::integer - 1
    ), ended AS (
        UPDATE sessions s
           SET ended_at = timed.now, ended_because = '{EndReason.TOO_MANY_SESSIONS}'
          FROM surplus, timed
         WHERE s.id = surplus.id AND s.ended_at IS NULL
     RETURNING s.id, s.user_id, s.ended_at
    ), started AS (
        INSERT INTO sessions (id, user_id, client_id, epoch, rotated_at, amr, auth_time, actor_id, created_at,
                              idle_expires_at, absolute_expires_at, device_sealed, device_index)
        SELECT $1, $2, $3, $4, now, $5, CASE WHEN $6::uuid IS NULL THEN now END, $6, now,
               least(now + $7::interval, now + $8::interval), now + $8::interval, $9, $10
          FROM timed
        RETURNING id, user_id, client_id, generation, amr, auth_time, actor_id, idle_expires_at, created_at
    ), recorded AS (
        INSERT INTO audit_events (at, event, actor_id, subject_id, session_id, request_id, detail)
        SELECT created_at, CASE WHEN actor_id IS NULL THEN '{EventName.SESSION_STARTED}'
                                ELSE '{EventName.SESSION_ISSUED}' END,
               coalesce(actor_id, user_id), user_id, id, $11, '{{}}'::jsonb
          FROM started
         UNION ALL
        SELECT ended_at, '{EventName.SESSION_ENDED}', NULL, user_id, id, $11,
               jsonb_build_object('because', '{EndReason.TOO_MANY_SESSIONS}')
          FROM ended
    )
    SELECT s.id, s.user_id, s.client_id, s.generation, s.amr, s.auth_time, s.actor_id,
           ARRAY(SELECT r.role FROM user_roles r WHERE r.user_id = s.user_id ORDER BY r.role) AS roles,
           s.idle_expires_at AS expires_at, s.created_at AS now,
           k.any_device AND NOT k.this_device AS is_new_device
      FROM started s CROSS JOIN known k
"""  # noqa: S608 - constants of ours


class Overtaken(Exception):
    """The session that a new one should have replaced has ended meanwhile."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose session it will be. `password_version` is that of the password that was checked; None where none was."""

    user_id: UserId
    data_key_wrapped: bytes
    password_version: int | None


@dataclass(frozen=True, slots=True)
class Started:
    """A new session, and whether it is the first of its kind of device that its owner is known to use."""

    session: LiveSession
    is_new_device: bool


@dataclass(frozen=True, slots=True)
class StartSession:
    """Starts a session for an active user, and ends the oldest ones that would be too many beside it."""

    vault: Vault
    max_sessions: int

    async def __call__(
        self,
        tx: Tx,
        holder: Holder,
        *,
        origin: Origin,
        application: Application,
        amr: tuple[str, ...],
        session_id: SessionId | None = None,
        actor_id: UserId | None = None,
        replaces: SessionId | None = None,
    ) -> LiveSession | None:
        """None where the user is no longer active or the password has changed meanwhile.

        With `actor_id`, somebody else starts it: nobody proved anything, so it has no `auth_time`, and the device is
        not the user's. `replaces` is the session that it takes the place of. Raises Overtaken where that has ended.
        """
        admitted = await tx.fetch_row(ADMIT, holder.user_id, holder.password_version)
        if admitted is None:
            return None
        session_id = session_id or SessionId(new_uuid())
        if replaces is not None:
            await _replace(tx, replaces, session_id)
        data_key = self.vault.open_data_key(holder.user_id, holder.data_key_wrapped)
        device = device_of(origin) if actor_id is None else None
        row = await tx.fetch_row(
            START_SESSION,
            session_id,
            holder.user_id,
            application.client_id,
            admitted["epoch"],
            amr,
            actor_id,
            application.lifetimes.idle,
            application.lifetimes.absolute,
            None if device is None else seal_device(data_key, device),
            None if device is None else index_device(self.vault, holder.user_id, device),
            current_request_id(),
            self.max_sessions,
        )
        if row is None:
            raise LookupError("a session was started and is not there")
        *session, is_new_device = row
        started = Started(LiveSession(*session), is_new_device)
        if started.is_new_device and device is not None:
            await _tell(tx, started.session, device, data_key)
        return started.session


async def _replace(tx: Tx, old: SessionId, new: SessionId) -> None:
    ended = await sessions.replace(tx, old, new)
    if ended is None:
        raise Overtaken
    await record_end(tx, ended, EndReason.REAUTHENTICATED, actor_id=ended.user_id)


async def _tell(tx: Tx, session: LiveSession, device: Device, data_key: DataKey) -> None:
    await queue.enqueue(
        tx,
        MailKind.NEW_DEVICE,
        client_id=session.client_id,
        user_id=session.user_id,
        data_key=data_key,
        facts={"device": device.name, "address": device.address, "at": session.now.isoformat()},
    )
