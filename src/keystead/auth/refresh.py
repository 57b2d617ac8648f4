"""Refresh: one statement judges the token, rotates, and records."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from keystead.applications.book import Applications
from keystead.audit.types import EventName
from keystead.auth.refusals import RefreshRefused, RefreshTooOften
from keystead.auth.token_pair import TOKEN_REFUSALS, IssueTokenPair, TokenPair
from keystead.kernel.caller import Access
from keystead.kernel.db import Database
from keystead.kernel.ids import SessionId, UserId
from keystead.kernel.telemetry import AUTH_ATTEMPTS, current_request_id
from keystead.limits.types import RouteClass
from keystead.notices.queue import NOTICE_LIFETIME
from keystead.notices.types import MailKind
from keystead.sessions.refresh_token import RefreshClaim, RefreshTokens
from keystead.sessions.types import EndReason, LiveSession

MAX_REPEATS = 20
MAX_UNTRIED_BYTES = 1000  # of names of roles: with so many, a token of 4 KiB holds them whatever else it says

# Joins sessions, users, roles, the installation, the trail and the mails: a refresh is one round trip, and the change,
# its audit row and the owner's notice of a theft are one commit, made before anything is answered or refused. The row
# is locked first and the time read after, so that of racing requests each is judged on what the one before left behind.
# A session ends by what its application says now, if that is earlier than what it said when the session started.
# Whoever has so many roles that a token might not hold them is not served untried: see MAX_UNTRIED_BYTES.
# LIMIT 1 is for the planner: it takes a table without statistics for a thousand rows, and reads all sessions to change
# that many.
ROTATE = f"""
    WITH locked AS MATERIALIZED (
        SELECT s.id, s.user_id, s.client_id, s.generation, s.rotated_at, s.reuse_count, s.amr, s.auth_time,
               s.actor_id, a.client_id IS NULL AS is_orphaned, a.reuse_window, a.idle,
               ARRAY(SELECT r.role FROM user_roles r WHERE r.user_id = s.user_id ORDER BY r.role) AS roles,
               least(s.idle_expires_at, s.rotated_at + a.idle) AS idle_expires_at,
               least(s.absolute_expires_at, s.created_at + a.absolute) AS absolute_expires_at,
               s.ended_at IS NULL AND u.status = 'active' AND s.epoch = i.epoch
               AND (s.actor_id IS NULL
                    OR EXISTS (SELECT FROM users a WHERE a.id = s.actor_id AND a.status = 'active')) AS is_open
          FROM sessions s JOIN users u ON u.id = s.user_id CROSS JOIN (SELECT epoch FROM installation LIMIT 1) i
          LEFT JOIN unnest($3::text[], $4::interval[], $5::interval[], $6::interval[])
                    AS a (client_id, reuse_window, idle, absolute) ON a.client_id = s.client_id
         WHERE s.id = $1 AND ($9::text IS NULL OR s.client_id = $9)
           FOR UPDATE OF s
    ), timed AS MATERIALIZED (
        SELECT locked.*, keystead_now() AS now FROM locked
    ), judged AS MATERIALIZED (
        SELECT timed.*,
               CASE WHEN NOT is_open OR now >= idle_expires_at OR now >= absolute_expires_at THEN 'dead'
                    WHEN is_orphaned THEN 'orphaned'
                    WHEN $2 IN (generation, generation - 1) AND NOT $10
                         AND octet_length(array_to_string(roles, ',')) > {MAX_UNTRIED_BYTES} THEN 'untried'
                    WHEN $2 = generation THEN 'rotated'
                    WHEN $2 = generation - 1 AND now < rotated_at + reuse_window
                         THEN CASE WHEN reuse_count < {MAX_REPEATS} THEN 'repeated' ELSE 'too_often' END
                    WHEN $2 < generation THEN 'reused'
                    ELSE 'from_the_future'
                END AS verdict
          FROM timed
    ), changed AS (
        UPDATE sessions s
           SET generation = CASE j.verdict WHEN 'rotated' THEN s.generation + 1 ELSE s.generation END,
               rotated_at = CASE j.verdict WHEN 'rotated' THEN j.now ELSE s.rotated_at END,
               reuse_count = CASE j.verdict WHEN 'rotated' THEN 0
                                            WHEN 'repeated' THEN s.reuse_count + 1
                                            ELSE s.reuse_count END,
               idle_expires_at = CASE j.verdict WHEN 'rotated' THEN least(j.now + j.idle, j.absolute_expires_at)
                                                ELSE s.idle_expires_at END,
               ended_at = CASE j.verdict WHEN 'reused' THEN j.now END,
               ended_because = CASE j.verdict WHEN 'reused' THEN '{EndReason.TOKEN_REUSED}' END
          FROM judged j
         WHERE s.id = j.id AND j.verdict IN ('rotated', 'repeated', 'reused')
     RETURNING s.generation, s.idle_expires_at
    ), recorded AS (
        INSERT INTO audit_events (at, event, actor_id, subject_id, session_id, request_id)
        SELECT now,
               CASE verdict WHEN 'rotated' THEN '{EventName.SESSION_REFRESHED}'
                            WHEN 'repeated' THEN '{EventName.SESSION_REFRESH_REPEATED}'
                            WHEN 'reused' THEN '{EventName.TOKEN_REUSED}'
                            ELSE '{EventName.TOKEN_FROM_THE_FUTURE}' END,
               CASE WHEN verdict IN ('rotated', 'repeated') THEN user_id END, user_id, id, $7
          FROM judged
         WHERE verdict IN ('rotated', 'repeated', 'reused', 'from_the_future')
    ), told AS (
        INSERT INTO mails (id, kind, client_id, user_id, expires_at)
        SELECT gen_random_uuid(), '{MailKind.SESSION_ENDED_BY_REUSE}', client_id, user_id, now + $8::interval
          FROM judged
         WHERE verdict = 'reused'
    )
    SELECT j.verdict, j.id, j.user_id, j.client_id, coalesce(c.generation, j.generation) AS generation, j.amr,
           j.auth_time, j.actor_id, j.roles, coalesce(c.idle_expires_at, j.idle_expires_at) AS expires_at, j.now
      FROM judged j LEFT JOIN changed c ON true
"""  # noqa: S608 - constants of ours

# What a token would say, before the refresh token is used up. It judges nothing: ROTATE has the last word.
FIND_ROTATABLE = """
    SELECT s.id, s.user_id, s.client_id, s.generation, s.amr, s.auth_time, s.actor_id,
           ARRAY(SELECT r.role FROM user_roles r WHERE r.user_id = s.user_id ORDER BY r.role) AS roles,
           s.idle_expires_at AS expires_at, keystead_now() AS now
      FROM sessions s JOIN users u ON u.id = s.user_id
     WHERE s.id = $1 AND s.generation IN ($2, $2 + 1) AND s.ended_at IS NULL AND u.status = 'active'
"""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on a refresh token, and its session as the verdict left it."""

    verdict: str
    id: SessionId
    user_id: UserId
    client_id: str
    generation: int
    amr: list[str]
    auth_time: datetime | None
    actor_id: UserId | None
    roles: list[str]
    expires_at: datetime
    now: datetime

    def session(self) -> LiveSession:
        return LiveSession(
            id=self.id,
            user_id=self.user_id,
            client_id=self.client_id,
            generation=self.generation,
            amr=tuple(self.amr),
            auth_time=self.auth_time,
            actor_id=self.actor_id,
            roles=tuple(self.roles),
            expires_at=self.expires_at,
            now=self.now,
        )


@dataclass(frozen=True, slots=True)
class Refresh:
    """The next token pair for a refresh token; the same pair's refresh token again for a retry within the window.
    `client_id`: whose it must be, where the caller knows.

    Raises RefreshRefused, also when a token that was replaced comes back too late: its session has then ended,
    because somebody else holds a token of it (RFC 9700 §4.14.2). Raises RefreshTooOften.
    """

    db: Database
    refresh_tokens: RefreshTokens
    applications: Applications
    issue_token_pair: IssueTokenPair
    requires: ClassVar = Access.REFRESH_TOKEN
    limited_as: ClassVar = RouteClass.REFRESH
    refuses: ClassVar = (RefreshRefused, RefreshTooOften, *TOKEN_REFUSALS)

    async def __call__(self, token: str, *, client_id: str | None = None) -> TokenPair:
        claim = self.refresh_tokens.read(token)
        is_tried = self.issue_token_pair.may_refuse
        more = await self._try_out(claim) if claim and is_tried else None
        judgement = await self._judge(claim, client_id, is_tried=is_tried) if claim else None
        if claim and judgement and judgement.verdict == "orphaned" and await self.applications.look_again():
            judgement = await self._judge(claim, client_id, is_tried=is_tried)
        if claim and judgement and judgement.verdict == "untried":
            more = await self._try_out(claim)
            judgement = await self._judge(claim, client_id, is_tried=True)
        verdict = judgement.verdict if judgement else "forged"
        AUTH_ATTEMPTS.labels("refresh", verdict).inc()
        match verdict:
            case "rotated" | "repeated" if judgement:
                return await self.issue_token_pair(judgement.session(), more)
            case "too_often":
                raise RefreshTooOften(retry_after=1)
            case _:
                raise RefreshRefused

    async def _try_out(self, claim: RefreshClaim) -> Mapping[str, Any] | None:
        """Before the token is used up: who is refused keeps a token that is current, for as long as it takes."""
        row = await self.db.fetch_row(FIND_ROTATABLE, claim.session_id, claim.generation)
        return await self.issue_token_pair.try_out(LiveSession(*row)) if row else None

    async def _judge(self, claim: RefreshClaim, client_id: str | None, *, is_tried: bool) -> Judgement | None:
        client_ids, lifetimes = self.applications.lifetimes
        row = await self.db.fetch_row(
            ROTATE,
            claim.session_id,
            claim.generation,
            client_ids,
            *lifetimes,
            current_request_id(),
            NOTICE_LIFETIME,
            client_id,
            is_tried,
        )
        return Judgement(*row) if row else None
