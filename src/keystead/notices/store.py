"""The tables of mails and of requests for them."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from keystead.kernel.db import Runner
from keystead.kernel.ids import UserId

ADD_REQUEST = """
    INSERT INTO mail_requests (id, kind, client_id, email_index, user_id, ticket_id)
    VALUES ($1, $2, $3, $4, $5, $6)
"""
# Taken away in the transaction that answers it: if that fails, it stands where it stood.
TAKE_REQUEST = """
    DELETE FROM mail_requests
     WHERE id = (SELECT id FROM mail_requests ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED)
 RETURNING id, kind, client_id, email_index, user_id, ticket_id
"""
ADD_MAIL = """
    INSERT INTO mails (id, kind, client_id, user_id, ticket_id, content_sealed, expires_at)
    SELECT $1, $2, $3, $4, $5, $6,
           coalesce((SELECT keystead_now() + 0.9 * (t.expires_at - keystead_now())
                       FROM tickets t WHERE t.id = $5),
                    keystead_now() + $7::interval)
"""
# Leased for a while, so that a mail whose sender died is sent by another one.
CLAIM = """
    UPDATE mails m
       SET due_at = keystead_now() + $2::interval, tries = m.tries + 1
      FROM (SELECT id FROM mails
             WHERE sent_at IS NULL AND failed_at IS NULL AND due_at <= keystead_now()
             ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED) due
     WHERE m.id = due.id
 RETURNING m.id, m.kind, m.client_id, m.user_id, m.ticket_id, m.content_sealed, m.created_at, m.expires_at,
           m.tries, keystead_now() >= m.expires_at AS is_expired, m.sent_at, m.failed_at, m.failure
"""
MARK_SENT = "UPDATE mails SET sent_at = keystead_now() WHERE id = $1 AND sent_at IS NULL"
SET_ASIDE = "UPDATE mails SET failed_at = keystead_now(), failure = $2 WHERE id = $1 AND sent_at IS NULL"
# `$3` false: it was no try of this mail (the server was away), so it does not count as one.
POSTPONE = """
    UPDATE mails
       SET due_at = keystead_now() + $2::interval, tries = CASE WHEN $3 THEN tries ELSE tries - 1 END
     WHERE id = $1 AND sent_at IS NULL
"""
DISCARD = "DELETE FROM mails WHERE id = $1 AND sent_at IS NULL"
LIST_LATEST = """
    SELECT id, kind, client_id, user_id, ticket_id, content_sealed, created_at, expires_at, tries,
           keystead_now() >= expires_at AS is_expired, sent_at, failed_at, failure
      FROM mails ORDER BY created_at DESC, id DESC LIMIT $1
"""
LIST_OF_USER = """
    SELECT id, kind, client_id, user_id, ticket_id, content_sealed, created_at, expires_at, tries,
           keystead_now() >= expires_at AS is_expired, sent_at, failed_at, failure
      FROM mails WHERE user_id = $1 ORDER BY created_at, id
"""
LIST_REQUESTS_OF_USER = "SELECT kind, created_at FROM mail_requests WHERE user_id = $1 ORDER BY created_at"
COUNT_RECENT = """
    SELECT count(*) FROM mails
     WHERE user_id = ANY($1::uuid[]) AND kind = $2 AND created_at > keystead_now() - $3::interval
"""
DELETE_OF_USER = "DELETE FROM mails WHERE user_id = $1"
DELETE_REQUESTS_OF_USER = "DELETE FROM mail_requests WHERE user_id = $1"
SWEEP_MAILS = """
    DELETE FROM mails
     WHERE id IN (SELECT id FROM mails
                   WHERE created_at < keystead_now() - $1::interval
                     AND (sent_at IS NOT NULL OR failed_at IS NOT NULL OR expires_at < keystead_now())
                   ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)
 RETURNING id
"""


@dataclass(frozen=True, slots=True)
class MailRequest:
    """Something asked of an address."""

    id: UUID
    kind: str
    client_id: str
    email_index: bytes
    user_id: UserId | None
    ticket_id: UUID | None


@dataclass(frozen=True, slots=True)
class StoredMail:
    """A mail in the queue, or what is remembered of it."""

    id: UUID
    kind: str
    client_id: str
    user_id: UserId
    ticket_id: UUID | None
    content_sealed: bytes | None
    created_at: datetime
    expires_at: datetime
    tries: int
    is_expired: bool
    sent_at: datetime | None
    failed_at: datetime | None
    failure: str | None


@dataclass(frozen=True, slots=True)
class KeptRequest:
    """What is on record of a request."""

    kind: str
    created_at: datetime


async def add_request(db: Runner, request: MailRequest) -> None:
    await db.execute(
        ADD_REQUEST,
        request.id,
        request.kind,
        request.client_id,
        request.email_index,
        request.user_id,
        request.ticket_id,
    )


async def take_request(db: Runner) -> MailRequest | None:
    """The oldest that nobody works on."""
    row = await db.fetch_row(TAKE_REQUEST)
    return MailRequest(*row) if row else None


async def add(
    db: Runner,
    mail_id: UUID,
    kind: str,
    *,
    client_id: str,
    user_id: UserId,
    ticket_id: UUID | None,
    content_sealed: bytes | None,
    lifetime: timedelta,
) -> None:
    """It expires before its ticket does; after `lifetime` where it has none."""
    await db.execute(ADD_MAIL, mail_id, kind, client_id, user_id, ticket_id, content_sealed, lifetime)


async def claim(db: Runner, *, limit: int, lease: timedelta) -> list[StoredMail]:
    """Mails that are due; nobody else gets them before the lease is over."""
    return [StoredMail(*row) for row in await db.fetch(CLAIM, limit, lease)]


async def mark_sent(db: Runner, mail_id: UUID) -> None:
    await db.execute(MARK_SENT, mail_id)


async def set_aside(db: Runner, mail_id: UUID, *, failure: str) -> None:
    """It is not tried again. `failure` holds nothing about a person."""
    await db.execute(SET_ASIDE, mail_id, failure)


async def postpone(db: Runner, mail_id: UUID, *, by: timedelta, counts: bool) -> None:
    await db.execute(POSTPONE, mail_id, by, counts)


async def discard(db: Runner, mail_id: UUID) -> None:
    """There is nothing to say any more."""
    await db.execute(DISCARD, mail_id)


async def list_latest(db: Runner, *, limit: int) -> list[StoredMail]:
    return [StoredMail(*row) for row in await db.fetch(LIST_LATEST, limit)]


async def list_of_user(db: Runner, user_id: UUID) -> list[StoredMail]:
    return [StoredMail(*row) for row in await db.fetch(LIST_OF_USER, user_id)]


async def list_requests_of_user(db: Runner, user_id: UUID) -> list[KeptRequest]:
    """What was asked for them and is still to be answered."""
    return [KeptRequest(*row) for row in await db.fetch(LIST_REQUESTS_OF_USER, user_id)]


async def count_recent(db: Runner, user_ids: list[UserId], kind: str, *, within: timedelta) -> int:
    """How many of a kind were written lately to any of them."""
    row = await db.fetch_row(COUNT_RECENT, user_ids, kind, within)
    return 0 if row is None else int(row[0])


async def delete_of_user(db: Runner, user_id: UUID) -> None:
    await db.execute(DELETE_REQUESTS_OF_USER, user_id)  # first: one that is being answered becomes a mail
    await db.execute(DELETE_OF_USER, user_id)


async def sweep(db: Runner, *, older_than: timedelta, limit: int) -> int:
    return len(await db.fetch(SWEEP_MAILS, older_than, limit))
