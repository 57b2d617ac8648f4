"""The tables of tickets and of idempotency keys."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from keystead.kernel.db import Runner
from keystead.kernel.ids import UserId
from keystead.tickets.types import Purpose, Ticket

ADD_TICKET = """
    INSERT INTO tickets (id, purpose, user_id, client_id, password_version, content_sealed, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, keystead_now() + $7::interval)
"""
# One statement consumes: of many at once, the first to lock the row finds it unused.
CONSUME = """
    UPDATE tickets
       SET used_at = keystead_now()
     WHERE id = $1 AND purpose = $2 AND used_at IS NULL AND keystead_now() < expires_at
 RETURNING id, user_id, client_id, password_version, content_sealed, expires_at
"""
FIND_LIVE = """
    SELECT id, user_id, client_id, password_version, content_sealed, expires_at
      FROM tickets
     WHERE id = $1 AND purpose = $2 AND used_at IS NULL AND keystead_now() < expires_at
"""
FIND_LIVE_OF = """
    SELECT id, user_id, client_id, password_version, content_sealed, expires_at
      FROM tickets
     WHERE user_id = ANY($1::uuid[]) AND purpose = $2 AND used_at IS NULL AND keystead_now() < expires_at
     ORDER BY created_at DESC LIMIT 1
"""
VOID = """
    UPDATE tickets SET used_at = keystead_now() WHERE user_id = $1 AND purpose = $2 AND used_at IS NULL
"""
VOID_ALL = "UPDATE tickets SET used_at = keystead_now() WHERE user_id = $1 AND used_at IS NULL"
LIST_OF_USER = """
    SELECT purpose, client_id, content_sealed, created_at, expires_at, used_at
      FROM tickets WHERE user_id = $1 ORDER BY created_at, id
"""
LIST_KEYS_OF_USER = "SELECT route, created_at FROM idempotency_keys WHERE caller_id = $1 ORDER BY created_at"
DELETE_OF_USER = "DELETE FROM tickets WHERE user_id = $1"
DELETE_KEYS_OF_USER = "DELETE FROM idempotency_keys WHERE caller_id = $1"
SWEEP_TICKETS = """
    DELETE FROM tickets
     WHERE id IN (SELECT id FROM tickets WHERE expires_at < keystead_now() - $1::interval
                   ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)
 RETURNING id
"""
CLAIM_KEY = """
    INSERT INTO idempotency_keys (caller_id, route, key_digest, body_digest, result)
    VALUES ($1, $2, $3, $4, $5)
    ON CONFLICT DO NOTHING
    RETURNING result
"""
FIND_KEY = """
    SELECT body_digest, result FROM idempotency_keys WHERE caller_id = $1 AND route = $2 AND key_digest = $3
"""
SWEEP_KEYS = """
    DELETE FROM idempotency_keys
     WHERE (caller_id, route, key_digest) IN (
           SELECT caller_id, route, key_digest FROM idempotency_keys
            WHERE created_at < keystead_now() - $1::interval
            ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)
 RETURNING result
"""

USE_ASSERTION = """
    INSERT INTO used_assertions (account_id, id_digest, expires_at)
    VALUES ($1, $2, $3)
        ON CONFLICT DO NOTHING
 RETURNING account_id
"""
SWEEP_ASSERTIONS = """
    DELETE FROM used_assertions
     WHERE (account_id, id_digest) IN (SELECT account_id, id_digest FROM used_assertions
                                        WHERE expires_at < keystead_now() - $1::interval
                                        LIMIT $2 FOR UPDATE SKIP LOCKED)
 RETURNING account_id
"""


@dataclass(frozen=True, slots=True)
class KeptTicket:
    """What is on record of a ticket."""

    purpose: str
    client_id: str
    content_sealed: bytes | None
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeptKey:
    """What is on record of a request that may be repeated."""

    route: str
    created_at: datetime


async def add(
    db: Runner,
    ticket_id: UUID,
    purpose: Purpose,
    *,
    user_id: UserId,
    client_id: str,
    password_version: int,
    content_sealed: bytes | None,
    lifetime: timedelta,
) -> None:
    await db.execute(
        ADD_TICKET,
        ticket_id,
        purpose.value,
        user_id,
        client_id,
        password_version,
        content_sealed,
        lifetime,
    )


async def consume(db: Runner, ticket_id: UUID, purpose: Purpose) -> Ticket | None:
    """None where it was used, has expired, or never was."""
    row = await db.fetch_row(CONSUME, ticket_id, purpose.value)
    return Ticket(*row) if row else None


async def find_live(db: Runner, ticket_id: UUID, purpose: Purpose) -> Ticket | None:
    """Without using it."""
    row = await db.fetch_row(FIND_LIVE, ticket_id, purpose.value)
    return Ticket(*row) if row else None


async def find_live_of(db: Runner, user_ids: Collection[UUID], purpose: Purpose) -> Ticket | None:
    """The newest that any of them has."""
    row = await db.fetch_row(FIND_LIVE_OF, user_ids, purpose.value)
    return Ticket(*row) if row else None


async def void(db: Runner, user_id: UUID, purpose: Purpose) -> None:
    """A newer one takes their place."""
    await db.execute(VOID, user_id, purpose.value)


async def void_all(db: Runner, user_id: UUID) -> None:
    """The mailbox that they were sent to is no longer the user's."""
    await db.execute(VOID_ALL, user_id)


async def list_of_user(db: Runner, user_id: UUID) -> list[KeptTicket]:
    return [KeptTicket(*row) for row in await db.fetch(LIST_OF_USER, user_id)]


async def list_keys_of_user(db: Runner, user_id: UUID) -> list[KeptKey]:
    return [KeptKey(*row) for row in await db.fetch(LIST_KEYS_OF_USER, user_id)]


async def delete_of_user(db: Runner, user_id: UUID) -> None:
    await db.execute(DELETE_OF_USER, user_id)
    await db.execute(DELETE_KEYS_OF_USER, user_id)


async def sweep(db: Runner, *, older_than: timedelta, limit: int) -> int:
    return len(await db.fetch(SWEEP_TICKETS, older_than, limit))


async def claim_key(
    db: Runner, *, caller_id: UUID, route: str, key_digest: bytes, body_digest: bytes, result: str
) -> bool:
    """False where the key was claimed before; a claim under way elsewhere is waited for."""
    row = await db.fetch_row(CLAIM_KEY, caller_id, route, key_digest, body_digest, result)
    return row is not None


async def find_key(db: Runner, *, caller_id: UUID, route: str, key_digest: bytes) -> tuple[bytes, str] | None:
    """The digest of the body that came with it, and what was made."""
    row = await db.fetch_row(FIND_KEY, caller_id, route, key_digest)
    return (row[0], row[1]) if row else None


async def sweep_keys(db: Runner, *, older_than: timedelta, limit: int) -> int:
    return len(await db.fetch(SWEEP_KEYS, older_than, limit))


async def use_assertion(db: Runner, account_id: UUID, id_digest: bytes, *, expires_at: datetime) -> bool:
    """False where it was used before: of many at once, one is first."""
    return await db.fetch_row(USE_ASSERTION, account_id, id_digest, expires_at) is not None


async def sweep_assertions(db: Runner, *, older_than: timedelta, limit: int) -> int:
    return len(await db.fetch(SWEEP_ASSERTIONS, older_than, limit))
