"""The tables of service accounts, their keys, and people's API keys."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from keystead.kernel.db import Runner
from keystead.kernel.ids import ServiceAccountId, UserId
from keystead.machines.types import ApiKey, ServiceAccount, ServiceKey

_ACCOUNT = """a.id, a.name, a.description, a.client_id,
           ARRAY(SELECT r.role FROM service_account_roles r WHERE r.account_id = a.id ORDER BY r.role) AS roles,
           a.created_at, a.updated_at, a.disabled_at"""
_SERVICE_KEY = "k.id, k.account_id, k.algorithm, k.hint, k.scopes, k.created_at, k.expires_at, k.last_used_at"
_API_KEY = (
    "k.id, k.user_id, k.client_id, k.name, k.hint, k.scopes, k.created_at, k.expires_at, k.last_used_at"
)
_IS_LIVE = "k.revoked_at IS NULL AND keystead_now() < k.expires_at"

LIST_ACCOUNTS = f"SELECT {_ACCOUNT} FROM service_accounts a WHERE a.name > $1 ORDER BY a.name LIMIT $2"  # noqa: S608
FIND_ACCOUNT = f"SELECT {_ACCOUNT} FROM service_accounts a WHERE a.id = $1"  # noqa: S608
FIND_ACCOUNT_BY_NAME = f"SELECT {_ACCOUNT} FROM service_accounts a WHERE a.name = $1"  # noqa: S608
LOCK_ACCOUNT = f"SELECT {_ACCOUNT} FROM service_accounts a WHERE a.id = $1 FOR UPDATE OF a"  # noqa: S608
ADD_ACCOUNT = """
    INSERT INTO service_accounts (id, name, description, client_id)
    VALUES ($1, $2, $3, $4)
        ON CONFLICT (name) DO NOTHING
 RETURNING id
"""
REPLACE_ACCOUNT = """
    UPDATE service_accounts
       SET description = $2, updated_at = keystead_now(),
           disabled_at = CASE WHEN $3 THEN coalesce(disabled_at, keystead_now()) END
     WHERE id = $1
"""
DELETE_ACCOUNT = "DELETE FROM service_accounts WHERE id = $1"
CLEAR_ROLES = "DELETE FROM service_account_roles WHERE account_id = $1"
ADD_ROLES = """
    INSERT INTO service_account_roles (account_id, role)
    SELECT $1, unnest($2::text[])
 RETURNING role
"""
LIST_SERVICE_KEYS = f"""
    SELECT {_SERVICE_KEY} FROM service_keys k WHERE k.account_id = $1 AND {_IS_LIVE} ORDER BY k.id DESC
"""  # noqa: S608 - constants of ours
FIND_SERVICE_KEY = f"SELECT {_SERVICE_KEY} FROM service_keys k WHERE k.id = $1 AND {_IS_LIVE}"  # noqa: S608
ADD_SERVICE_KEY = """
    INSERT INTO service_keys (id, account_id, digest, algorithm, public_key, hint, scopes, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, keystead_now() + $8::interval)
 RETURNING id, account_id, algorithm, hint, scopes, created_at, expires_at, last_used_at
"""
REVOKE_SERVICE_KEY = """
    UPDATE service_keys
       SET revoked_at = keystead_now()
     WHERE id = $1 AND account_id = $2 AND revoked_at IS NULL
 RETURNING id
"""
TOUCH_SERVICE_KEY = """
    UPDATE service_keys
       SET last_used_at = keystead_now()
     WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= keystead_now() - $2::interval)
"""
LIST_API_KEYS = f"""
    SELECT {_API_KEY} FROM api_keys k WHERE k.user_id = $1 AND {_IS_LIVE} ORDER BY k.id DESC
"""  # noqa: S608 - constants of ours
# Revoked and expired ones, too: what is kept about a person.
LIST_API_KEYS_KEPT = f"SELECT {_API_KEY} FROM api_keys k WHERE k.user_id = $1 ORDER BY k.id"  # noqa: S608
ADD_API_KEY = """
    INSERT INTO api_keys (id, user_id, client_id, name, digest, hint, scopes, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, keystead_now() + $8::interval)
 RETURNING id, user_id, client_id, name, hint, scopes, created_at, expires_at, last_used_at
"""
REVOKE_API_KEY = """
    UPDATE api_keys
       SET revoked_at = keystead_now()
     WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL
 RETURNING id
"""
REVOKE_API_KEYS_OF_USER = """
    UPDATE api_keys
       SET revoked_at = keystead_now()
     WHERE user_id = $1 AND revoked_at IS NULL AND keystead_now() < expires_at
 RETURNING id
"""
DELETE_API_KEYS_OF_USER = "DELETE FROM api_keys WHERE user_id = $1"
TOUCH_API_KEY = """
    UPDATE api_keys
       SET last_used_at = keystead_now()
     WHERE id = $1 AND (last_used_at IS NULL OR last_used_at <= keystead_now() - $2::interval)
"""
SWEEP_API_KEYS = """
    DELETE FROM api_keys
     WHERE id IN (SELECT id FROM api_keys
                   WHERE least(expires_at, coalesce(revoked_at, expires_at)) < keystead_now() - $1::interval
                   LIMIT $2 FOR UPDATE SKIP LOCKED)
 RETURNING id
"""
SWEEP_SERVICE_KEYS = """
    DELETE FROM service_keys
     WHERE id IN (SELECT id FROM service_keys
                   WHERE least(expires_at, coalesce(revoked_at, expires_at)) < keystead_now() - $1::interval
                   LIMIT $2 FOR UPDATE SKIP LOCKED)
 RETURNING id
"""


@dataclass(frozen=True, slots=True)
class NewServiceKey:
    """A secret's digest and hint, or a public key (PEM) with its algorithm."""

    id: UUID
    account_id: ServiceAccountId
    scopes: Sequence[str] | None
    lifetime: timedelta
    digest: bytes | None = None
    hint: str = ""
    algorithm: str | None = None
    public_key: str | None = None


@dataclass(frozen=True, slots=True)
class NewApiKey:
    id: UUID
    user_id: UserId
    client_id: str
    name: str
    digest: bytes
    hint: str
    scopes: Sequence[str]
    lifetime: timedelta


async def list_accounts(db: Runner, *, after: str, limit: int) -> list[ServiceAccount]:
    """By name, those behind `after`."""
    return [ServiceAccount(*row) for row in await db.fetch(LIST_ACCOUNTS, after, limit)]


async def find_account(db: Runner, account_id: UUID) -> ServiceAccount | None:
    row = await db.fetch_row(FIND_ACCOUNT, account_id)
    return ServiceAccount(*row) if row else None


async def find_account_by_name(db: Runner, name: str) -> ServiceAccount | None:
    row = await db.fetch_row(FIND_ACCOUNT_BY_NAME, name)
    return ServiceAccount(*row) if row else None


async def find_account_for_update(db: Runner, account_id: UUID) -> ServiceAccount | None:
    row = await db.fetch_row(LOCK_ACCOUNT, account_id)
    return ServiceAccount(*row) if row else None


async def add_account(
    db: Runner, account_id: ServiceAccountId, *, name: str, description: str, client_id: str
) -> bool:
    """False where the name is taken."""
    return await db.fetch_row(ADD_ACCOUNT, account_id, name, description, client_id) is not None


async def replace_account(db: Runner, account_id: UUID, *, description: str, is_disabled: bool) -> None:
    await db.execute(REPLACE_ACCOUNT, account_id, description, is_disabled)


async def delete_account(db: Runner, account_id: UUID) -> None:
    await db.execute(DELETE_ACCOUNT, account_id)


async def replace_roles(db: Runner, account_id: UUID, roles: Collection[str]) -> None:
    """With roles that there are."""
    await db.execute(CLEAR_ROLES, account_id)
    await db.execute(ADD_ROLES, account_id, sorted(roles))


async def list_service_keys(db: Runner, account_id: UUID) -> list[ServiceKey]:
    """The live ones, the newest first."""
    return [ServiceKey(*row) for row in await db.fetch(LIST_SERVICE_KEYS, account_id)]


async def find_service_key(db: Runner, key_id: UUID) -> ServiceKey | None:
    row = await db.fetch_row(FIND_SERVICE_KEY, key_id)
    return ServiceKey(*row) if row else None


async def add_service_key(db: Runner, new: NewServiceKey) -> ServiceKey:
    row = await db.fetch_row(
        ADD_SERVICE_KEY,
        new.id,
        new.account_id,
        new.digest,
        new.algorithm,
        new.public_key,
        new.hint,
        new.scopes,
        new.lifetime,
    )
    if row is None:
        raise LookupError("a key was added and is not there")
    return ServiceKey(*row)


async def revoke_service_key(db: Runner, key_id: UUID, account_id: UUID) -> bool:
    """False where there was none, or it was revoked before."""
    return await db.fetch_row(REVOKE_SERVICE_KEY, key_id, account_id) is not None


async def touch_service_key(db: Runner, key_id: UUID, *, every: timedelta) -> None:
    """Note the use, unless one was noted so short a time ago."""
    await db.execute(TOUCH_SERVICE_KEY, key_id, every)


async def list_api_keys(db: Runner, user_id: UUID) -> list[ApiKey]:
    """The live ones, the newest first."""
    return [ApiKey(*row) for row in await db.fetch(LIST_API_KEYS, user_id)]


async def list_api_keys_kept(db: Runner, user_id: UUID) -> list[ApiKey]:
    """All that are not swept yet."""
    return [ApiKey(*row) for row in await db.fetch(LIST_API_KEYS_KEPT, user_id)]


async def add_api_key(db: Runner, new: NewApiKey) -> ApiKey:
    row = await db.fetch_row(
        ADD_API_KEY,
        new.id,
        new.user_id,
        new.client_id,
        new.name,
        new.digest,
        new.hint,
        new.scopes,
        new.lifetime,
    )
    if row is None:
        raise LookupError("a key was added and is not there")
    return ApiKey(*row)


async def revoke_api_key(db: Runner, key_id: UUID, user_id: UUID) -> bool:
    """False where there was none of theirs, or it was revoked before."""
    return await db.fetch_row(REVOKE_API_KEY, key_id, user_id) is not None


async def revoke_api_keys_of_user(db: Runner, user_id: UUID) -> list[UUID]:
    """Those that this revoked."""
    return [key_id for (key_id,) in await db.fetch(REVOKE_API_KEYS_OF_USER, user_id)]


async def delete_api_keys_of_user(db: Runner, user_id: UUID) -> None:
    await db.execute(DELETE_API_KEYS_OF_USER, user_id)


async def touch_api_key(db: Runner, key_id: UUID, *, every: timedelta) -> None:
    """Note the use, unless one was noted so short a time ago."""
    await db.execute(TOUCH_API_KEY, key_id, every)


async def sweep(db: Runner, *, older_than: timedelta, limit: int) -> int:
    """Delete keys whose end is so long ago; how many."""
    found = [
        await db.fetch(statement, older_than, limit) for statement in (SWEEP_API_KEYS, SWEEP_SERVICE_KEYS)
    ]
    return sum(map(len, found))
