"""The table of users."""

from datetime import datetime
from uuid import UUID

from keystead.kernel.db import Runner
from keystead.kernel.ids import UserId
from keystead.users.types import Credential, StoredUser, UserNotFound, UserStatus

# What opens and shows a user; other rooms' joined statements select the same columns, in this order.
STORED_USER_COLUMNS = """
    u.id, u.status, u.email_sealed, u.full_name_sealed, u.preferences::text AS preferences,
    u.email_verified_at, u.created_at, u.updated_at, k.wrapped AS data_key_wrapped
"""

ADD_USER = """
    INSERT INTO users (id, status, email_index, email_sealed, full_name_sealed, password_hash, email_verified_at)
    VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $7 THEN keystead_now() END)
    ON CONFLICT (email_index) WHERE status <> 'pending' DO NOTHING
    RETURNING id
"""
# An account comes before the attempts to register it, the newest attempt before the others.
FIND_CREDENTIAL = """
    SELECT id AS user_id, status, password_hash, password_version
      FROM users
     WHERE email_index = $1
     ORDER BY status = 'pending', created_at DESC
     LIMIT 1
"""
LIST_BY_EMAIL_FOR_UPDATE = f"""
    SELECT {STORED_USER_COLUMNS}
      FROM users u JOIN data_keys k ON k.owner_id = u.id
     WHERE u.email_index = $1
     ORDER BY u.status = 'pending', u.created_at DESC
       FOR UPDATE OF u
"""  # noqa: S608 - constants of ours
LOAD = f"""
    SELECT {STORED_USER_COLUMNS}
      FROM users u JOIN data_keys k ON k.owner_id = u.id
     WHERE u.id = $1
"""  # noqa: S608 - constants of ours
LOAD_FOR_UPDATE = f"""
    SELECT {STORED_USER_COLUMNS}
      FROM users u JOIN data_keys k ON k.owner_id = u.id
     WHERE u.id = $1 AND u.status = 'active'
       FOR UPDATE OF u
"""  # noqa: S608 - constants of ours
REPLACE_PROFILE = """
    UPDATE users
       SET full_name_sealed = $2, preferences = $3::text::jsonb, updated_at = keystead_now()
     WHERE id = $1
 RETURNING updated_at
"""
# Guarded by the hash that was checked: a password changed meanwhile is not put back.
REPLACE_HASH = "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2"
VERIFY_PENDING = """
    UPDATE users
       SET status = 'active', email_verified_at = keystead_now(), updated_at = keystead_now()
     WHERE id = $1 AND status = 'pending'
       AND NOT EXISTS (SELECT FROM users o WHERE o.email_index = users.email_index AND o.status <> 'pending')
 RETURNING id
"""
DISCARD_PENDING = "DELETE FROM users WHERE id = $1 AND status = 'pending' RETURNING id"


async def add(
    db: Runner,
    user_id: UserId,
    *,
    status: UserStatus,
    email_index: bytes,
    email_sealed: bytes,
    full_name_sealed: bytes | None,
    password_hash: str,
    is_verified: bool,
) -> bool:
    """False where the address belongs to somebody. Pending attempts may share an address."""
    row = await db.fetch_row(
        ADD_USER,
        user_id,
        status.value,
        email_index,
        email_sealed,
        full_name_sealed,
        password_hash,
        is_verified,
    )
    return row is not None


async def find_credential(db: Runner, email_index: bytes) -> Credential | None:
    row = await db.fetch_row(FIND_CREDENTIAL, email_index)
    return Credential(*row) if row else None


async def list_by_email_for_update(db: Runner, email_index: bytes) -> list[StoredUser]:
    """The account of this address and its pending attempts, newest first, locked until the transaction ends."""
    return [StoredUser(*row) for row in await db.fetch(LIST_BY_EMAIL_FOR_UPDATE, email_index)]


async def load(db: Runner, user_id: UUID) -> StoredUser:
    """A user of any status. Raises UserNotFound."""
    row = await db.fetch_row(LOAD, user_id)
    if row is None:
        raise UserNotFound
    return StoredUser(*row)


async def load_for_update(db: Runner, user_id: UUID) -> StoredUser | None:
    """An active user, locked until the transaction ends."""
    row = await db.fetch_row(LOAD_FOR_UPDATE, user_id)
    return StoredUser(*row) if row else None


async def replace_profile(
    db: Runner, user_id: UUID, *, full_name_sealed: bytes | None, preferences: str
) -> datetime:
    """When it was changed. The caller holds the row's lock."""
    row = await db.fetch_row(REPLACE_PROFILE, user_id, full_name_sealed, preferences)
    if row is None:
        raise LookupError("the locked user is gone")
    updated_at: datetime = row[0]
    return updated_at


async def replace_hash(db: Runner, user_id: UUID, *, old: str, new: str) -> None:
    """Does nothing where the hash is no longer `old`."""
    await db.execute(REPLACE_HASH, user_id, old, new)


async def verify_pending(db: Runner, user_id: UUID) -> bool:
    """Make one pending attempt the account of its address. False where there is none, or the address is taken."""
    return await db.fetch_row(VERIFY_PENDING, user_id) is not None


async def discard_pending(db: Runner, user_id: UUID) -> bool:
    """Delete an attempt that lost. False where it is none."""
    return await db.fetch_row(DISCARD_PENDING, user_id) is not None
