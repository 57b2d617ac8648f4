"""The table of users."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from asyncpg import UniqueViolationError

from keystead.kernel.db import Runner
from keystead.kernel.ids import UserId
from keystead.users.types import Credential, EmailTaken, StoredUser, UserNotFound, UserStatus

# What opens and shows a user; other rooms' joined statements select the same columns, in this order.
STORED_USER_COLUMNS = """
    u.id, u.status, u.email_sealed, u.full_name_sealed, u.preferences::text AS preferences, u.preferences_sealed,
    u.app_metadata_sealed, u.version, u.password_version, u.email_verified_at, u.created_at, u.updated_at,
    k.wrapped AS data_key_wrapped
"""

# An id that came from outside may be one that exists: the primary key then decides, like the address.
ADD_USER = """
    INSERT INTO users (id, status, email_index, email_domain_index, email_sealed, full_name_sealed, password_hash,
                       preferences_sealed, app_metadata_sealed, email_verified_at, created_at, updated_at)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, CASE WHEN $10 THEN coalesce($11, now) END,
           coalesce($11, now), coalesce($12, $11, now)
      FROM (SELECT keystead_now() AS now) clock
    ON CONFLICT DO NOTHING
    RETURNING id
"""
# As ADD_USER, for many. Of several that share an id or an address, the first is added.
ADD_USERS = """
    INSERT INTO users (id, status, email_index, email_domain_index, email_sealed, full_name_sealed, password_hash,
                       preferences_sealed, app_metadata_sealed, email_verified_at, created_at, updated_at)
    SELECT n.id, n.status, n.email_index, n.email_domain_index, n.email_sealed, n.full_name_sealed, n.password_hash,
           n.preferences_sealed, n.app_metadata_sealed, CASE WHEN n.is_verified THEN coalesce(n.created_at, now) END,
           coalesce(n.created_at, now), coalesce(n.updated_at, n.created_at, now)
      FROM (SELECT keystead_now() AS now) clock,
           unnest($1::uuid[], $2::text[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bytea[], $7::text[], $8::bytea[],
                  $9::bytea[], $10::boolean[], $11::timestamptz[], $12::timestamptz[])
           WITH ORDINALITY AS n (id, status, email_index, email_domain_index, email_sealed, full_name_sealed,
                                 password_hash, preferences_sealed, app_metadata_sealed, is_verified, created_at,
                                 updated_at, place)
     ORDER BY n.place
    ON CONFLICT DO NOTHING
    RETURNING id
"""
ID_EXISTS = "SELECT FROM users WHERE id = $1"
LIST_EXISTING = "SELECT id FROM users WHERE id = ANY($1::uuid[])"
LIST_ERASED = "SELECT id FROM users WHERE id = ANY($1::uuid[]) AND status = 'erased'"
LIST_WITHOUT_PASSWORD = "SELECT id FROM users WHERE id = ANY($1::uuid[]) AND password_hash = '!'"
LIST_OWNED = "SELECT email_index FROM users WHERE email_index = ANY($1::bytea[]) AND status <> 'pending'"
# The account, and the newest attempt to register its address; an invitation has no password yet.
LIST_CREDENTIALS = """
    SELECT DISTINCT ON (u.status = 'pending')
           u.id AS user_id, u.status, u.password_hash, u.password_version, k.wrapped AS data_key_wrapped
      FROM users u JOIN data_keys k ON k.owner_id = u.id
     WHERE u.email_index = $1 AND NOT (u.status = 'pending' AND u.password_hash = '!')
     ORDER BY u.status = 'pending', u.created_at DESC
"""
FIND_CREDENTIAL_BY_ID = """
    SELECT u.id AS user_id, u.status, u.password_hash, u.password_version, k.wrapped AS data_key_wrapped
      FROM users u JOIN data_keys k ON k.owner_id = u.id
     WHERE u.id = $1
"""
LIST_BY_EMAIL_FOR_UPDATE = f"""
    SELECT {STORED_USER_COLUMNS}
      FROM users u JOIN data_keys k ON k.owner_id = u.id
     WHERE u.email_index = $1
     ORDER BY u.status = 'pending', u.created_at DESC
       FOR NO KEY UPDATE OF u
"""  # noqa: S608 - constants of ours
LIST_OF_ADDRESS_FOR_UPDATE = f"""
    SELECT {STORED_USER_COLUMNS}
      FROM users u JOIN data_keys k ON k.owner_id = u.id
     WHERE u.email_index = (SELECT o.email_index FROM users o WHERE o.id = $1)
     ORDER BY u.status = 'pending', u.created_at DESC
       FOR NO KEY UPDATE OF u
"""  # noqa: S608 - constants of ours
COUNT = "SELECT count(*) FROM users WHERE status <> 'erased'"
FIND = f"""
    SELECT {STORED_USER_COLUMNS}
      FROM users u JOIN data_keys k ON k.owner_id = u.id
     WHERE u.id = $1
"""  # noqa: S608 - constants of ours
# The status is judged again when the lock was waited for: an erasure may have held it. Rows that refer to the user may
# be added meanwhile (NO KEY), by somebody who holds what the lock's owner is about to want.
FIND_FOR_UPDATE = f"""
    SELECT {STORED_USER_COLUMNS}
      FROM users u JOIN data_keys k ON k.owner_id = u.id
     WHERE u.id = $1 AND u.status <> 'erased'
       FOR NO KEY UPDATE OF u
"""  # noqa: S608 - constants of ours
REPLACE_DETAILS = """
    UPDATE users
       SET full_name_sealed = $2, preferences_sealed = $3, app_metadata_sealed = $4, preferences = '{}',
           version = version + 1, updated_at = keystead_now()
     WHERE id = $1
 RETURNING updated_at
"""
# Guarded by the hash that was checked: a password changed meanwhile is not put back.
REPLACE_HASH = "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2"
# Guarded by the version of the password that was checked, or that a ticket was issued for. A new password proves the
# mailbox again where a ticket brought it (`$4`): that opens a locked account, and no other.
REPLACE_PASSWORD = """
    UPDATE users
       SET password_hash = $3, password_version = password_version + 1, version = version + 1,
           status = CASE WHEN $4 AND status = 'locked' THEN 'active' ELSE status END,
           updated_at = keystead_now()
     WHERE id = $1 AND password_version = $2 AND (status = 'active' OR $4 AND status = 'locked')
 RETURNING id
"""
VERIFY_PENDING = """
    UPDATE users
       SET status = 'active', email_verified_at = keystead_now(), version = version + 1,
           updated_at = keystead_now()
     WHERE id = $1 AND status = 'pending'
       AND NOT EXISTS (SELECT FROM users o WHERE o.email_index = users.email_index AND o.status <> 'pending')
 RETURNING id
"""
COMPLETE_PENDING = """
    UPDATE users
       SET status = 'active', email_verified_at = keystead_now(), version = version + 1,
           updated_at = keystead_now(), password_hash = $3, password_version = password_version + 1,
           full_name_sealed = $4
     WHERE id = $1 AND password_version = $2 AND status = 'pending'
       AND NOT EXISTS (SELECT FROM users o WHERE o.email_index = users.email_index AND o.status <> 'pending')
 RETURNING id
"""
MARK_EMAIL_VERIFIED = """
    UPDATE users
       SET email_verified_at = keystead_now(), version = version + 1, updated_at = keystead_now()
     WHERE id = $1 AND status IN ('active', 'locked') AND email_verified_at IS NULL
 RETURNING id
"""
REPLACE_EMAIL = """
    UPDATE users
       SET email_index = $2, email_domain_index = $3, email_sealed = $4, email_verified_at = keystead_now(),
           version = version + 1, updated_at = keystead_now()
     WHERE id = $1 AND password_version = $5 AND status = 'active'
 RETURNING id
"""
CHANGE_STATUS = """
    UPDATE users
       SET status = $3, version = version + 1, updated_at = keystead_now()
     WHERE id = $1 AND status = ANY($2::text[])
 RETURNING id
"""
DISCARD_PENDING = "DELETE FROM users WHERE id = $1 AND status = 'pending' RETURNING id"
ERASE = """
    UPDATE users
       SET status = 'erased', email_index = NULL, email_domain_index = NULL, email_sealed = NULL,
           full_name_sealed = NULL, preferences = '{}', preferences_sealed = NULL, app_metadata_sealed = NULL,
           password_hash = '!', password_version = password_version + 1, email_verified_at = NULL,
           version = version + 1, updated_at = keystead_now()
     WHERE id = $1 AND status <> 'erased'
 RETURNING id
"""
# In the order of their ids, which never change: a row that was there from the first page to the last is met once.
# That the keys begin there, too, lets PostgreSQL merge them from there on, instead of from their beginning.
LIST_FROM = f"""
    SELECT {STORED_USER_COLUMNS}, u.password_hash
      FROM users u JOIN data_keys k ON k.owner_id = u.id
     WHERE u.id >= $1 AND k.owner_id >= $1 AND u.status NOT IN ('pending', 'erased')
     ORDER BY u.id
     LIMIT $2
"""  # noqa: S608 - constants of ours
# As the last ANALYZE left it: to count a million rows takes longer than it is worth.
ESTIMATE = "SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = 'users'::regclass"
LIST_UNSEALED = f"""
    SELECT {STORED_USER_COLUMNS}
      FROM users u JOIN data_keys k ON k.owner_id = u.id
     WHERE u.status <> 'erased' AND (u.email_domain_index IS NULL OR u.preferences <> '{{}}')
     LIMIT $1
       FOR UPDATE OF u SKIP LOCKED
"""  # noqa: S608 - constants of ours
SEAL = """
    UPDATE users SET email_domain_index = $2, preferences_sealed = $3, preferences = '{}' WHERE id = $1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRow:
    """A user's row to be. `created_at` None stands for now; `updated_at` None for `created_at`."""

    id: UserId
    status: UserStatus
    email_index: bytes
    email_domain_index: bytes
    email_sealed: bytes
    full_name_sealed: bytes | None
    password_hash: str
    preferences_sealed: bytes | None
    app_metadata_sealed: bytes | None
    is_verified: bool
    created_at: datetime | None
    updated_at: datetime | None


async def add(db: Runner, new: NewRow) -> bool:
    """False where the id exists or the address belongs to somebody. Pending attempts may share an address."""
    return await db.fetch_row(ADD_USER, *_values(new)) is not None


async def add_all(db: Runner, new: Sequence[NewRow]) -> set[UserId]:
    """Who was added. As `add`: the id of the others exists, or their address belongs to somebody."""
    columns = [list(column) for column in zip(*map(_values, new), strict=True)]
    return {row[0] for row in await db.fetch(ADD_USERS, *columns)} if columns else set()


async def id_exists(db: Runner, user_id: UUID) -> bool:
    return await db.fetch_row(ID_EXISTS, user_id) is not None


async def list_existing(db: Runner, user_ids: Collection[UUID]) -> set[UserId]:
    """Those that are given out, to whomever."""
    return {row[0] for row in await db.fetch(LIST_EXISTING, user_ids)}


async def list_erased(db: Runner, user_ids: Collection[UUID]) -> set[UserId]:
    return {row[0] for row in await db.fetch(LIST_ERASED, user_ids)}


async def list_without_password(db: Runner, user_ids: Collection[UUID]) -> set[UserId]:
    return {row[0] for row in await db.fetch(LIST_WITHOUT_PASSWORD, user_ids)}


async def list_owned(db: Runner, email_indexes: Collection[bytes]) -> set[bytes]:
    """The addresses that belong to an account."""
    return {row[0] for row in await db.fetch(LIST_OWNED, email_indexes)}


async def list_credentials(db: Runner, email_index: bytes) -> list[Credential]:
    """Of an address: its account, if there is one, and the newest attempt to register it."""
    return [Credential(*row) for row in await db.fetch(LIST_CREDENTIALS, email_index)]


async def find_credential_by_id(db: Runner, user_id: UUID) -> Credential | None:
    row = await db.fetch_row(FIND_CREDENTIAL_BY_ID, user_id)
    return Credential(*row) if row else None


async def list_by_email_for_update(db: Runner, email_index: bytes) -> list[StoredUser]:
    """The account of this address and its pending attempts, newest first, locked until the transaction ends."""
    return [StoredUser(*row) for row in await db.fetch(LIST_BY_EMAIL_FOR_UPDATE, email_index)]


async def list_of_address_for_update(db: Runner, user_id: UUID) -> list[StoredUser]:
    """As `list_by_email_for_update`, of the address that this user has."""
    return [StoredUser(*row) for row in await db.fetch(LIST_OF_ADDRESS_FOR_UPDATE, user_id)]


async def count(db: Runner) -> int:
    """Users of any status but erased: reads the whole table."""
    row = await db.fetch_row(COUNT)
    return int(row[0]) if row else 0


async def find(db: Runner, user_id: UUID) -> StoredUser | None:
    """A user of any status but erased."""
    row = await db.fetch_row(FIND, user_id)
    return StoredUser(*row) if row else None


async def list_from(db: Runner, first: UUID, *, limit: int) -> list[tuple[StoredUser, str]]:
    """Accounts with the hashes of their passwords, by id, from `first` on."""
    return [(StoredUser(*stored), hashed) for *stored, hashed in await db.fetch(LIST_FROM, first, limit)]


async def estimate(db: Runner) -> int:
    """About how many rows there are."""
    row = await db.fetch_row(ESTIMATE)
    return row[0] if row else 0


async def load(db: Runner, user_id: UUID) -> StoredUser:
    """A user of any status but erased. Raises UserNotFound."""
    found = await find(db, user_id)
    if found is None:
        raise UserNotFound
    return found


async def load_for_update(db: Runner, user_id: UUID) -> StoredUser:
    """As `load`, locked until the transaction ends. Raises UserNotFound."""
    row = await db.fetch_row(FIND_FOR_UPDATE, user_id)
    if row is None:
        raise UserNotFound
    return StoredUser(*row)


async def replace_details(
    db: Runner,
    user_id: UUID,
    *,
    full_name_sealed: bytes | None,
    preferences_sealed: bytes | None,
    app_metadata_sealed: bytes | None,
) -> datetime:
    """When it was changed. The caller holds the row's lock."""
    row = await db.fetch_row(
        REPLACE_DETAILS, user_id, full_name_sealed, preferences_sealed, app_metadata_sealed
    )
    if row is None:
        raise LookupError("the locked user is gone")
    updated_at: datetime = row[0]
    return updated_at


async def replace_hash(db: Runner, user_id: UUID, *, old: str, new: str) -> None:
    """Does nothing where the hash is no longer `old`."""
    await db.execute(REPLACE_HASH, user_id, old, new)


async def replace_password(
    db: Runner, user_id: UUID, *, password_version: int, new: str, mailbox_proven: bool
) -> bool:
    """False where the password is of another version by now, or the account not open to this."""
    return await db.fetch_row(REPLACE_PASSWORD, user_id, password_version, new, mailbox_proven) is not None


async def verify_pending(db: Runner, user_id: UUID) -> bool:
    """Make one pending attempt the account of its address. False where there is none, or the address is taken."""
    try:
        return await db.fetch_row(VERIFY_PENDING, user_id) is not None
    except UniqueViolationError as error:
        raise EmailTaken from error


async def complete_pending(
    db: Runner, user_id: UUID, *, password_version: int, new_hash: str, full_name_sealed: bytes | None
) -> bool:
    """As `verify_pending`, with a new password and the name that whoever proved the mailbox gives."""
    try:
        row = await db.fetch_row(COMPLETE_PENDING, user_id, password_version, new_hash, full_name_sealed)
    except UniqueViolationError as error:
        raise EmailTaken from error
    return row is not None


async def mark_email_verified(db: Runner, user_id: UUID) -> bool:
    """False where it was verified before, or there is no such open account."""
    return await db.fetch_row(MARK_EMAIL_VERIFIED, user_id) is not None


async def replace_email(
    db: Runner,
    user_id: UUID,
    *,
    email_index: bytes,
    email_domain_index: bytes,
    email_sealed: bytes,
    password_version: int,
) -> bool:
    """False where the password changed meanwhile. Raises EmailTaken."""
    try:
        row = await db.fetch_row(
            REPLACE_EMAIL, user_id, email_index, email_domain_index, email_sealed, password_version
        )
    except UniqueViolationError as error:
        raise EmailTaken from error
    return row is not None


async def change_status(db: Runner, user_id: UUID, *, allowed: Sequence[UserStatus], new: UserStatus) -> bool:
    """False where the user is in none of the `allowed` states."""
    return await db.fetch_row(CHANGE_STATUS, user_id, [each.value for each in allowed], new.value) is not None


async def discard_pending(db: Runner, user_id: UUID) -> bool:
    """Delete an attempt that lost. False where it is none."""
    return await db.fetch_row(DISCARD_PENDING, user_id) is not None


async def erase(db: Runner, user_id: UUID) -> bool:
    """Leave a tombstone that says nothing of whom it was. False where it is one, or there is no such user."""
    return await db.fetch_row(ERASE, user_id) is not None


async def list_unsealed(db: Runner, *, limit: int) -> list[StoredUser]:
    """Rows that the version before this one wrote, locked until the transaction ends."""
    return [StoredUser(*row) for row in await db.fetch(LIST_UNSEALED, limit)]


async def seal(
    db: Runner, user_id: UUID, *, email_domain_index: bytes, preferences_sealed: bytes | None
) -> None:
    await db.execute(SEAL, user_id, email_domain_index, preferences_sealed)


def _values(new: NewRow) -> tuple[object, ...]:
    """In the order of the parameters of ADD_USER and ADD_USERS."""
    return (
        new.id,
        new.status.value,
        new.email_index,
        new.email_domain_index,
        new.email_sealed,
        new.full_name_sealed,
        new.password_hash,
        new.preferences_sealed,
        new.app_metadata_sealed,
        new.is_verified,
        new.created_at,
        new.updated_at,
    )
