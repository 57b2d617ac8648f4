"""The tables of roles: which there are, who holds which, and the version of it all."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from keystead.kernel.db import Runner

# With the age of the user, which never changes: a list of those who hold a role, the newest first, is read off one
# index. That takes a look at users.
GRANT_ROLE = """
    INSERT INTO user_roles (user_id, role, user_created_at)
    SELECT id, $2, created_at FROM users WHERE id = $1
    ON CONFLICT DO NOTHING
    RETURNING role
"""
GRANT_ROLES = """
    INSERT INTO user_roles (user_id, role, user_created_at)
    SELECT n.user_id, n.role, u.created_at
      FROM unnest($1::uuid[], $2::text[]) AS n (user_id, role)
      JOIN users u ON u.id = n.user_id
"""
DATE_GRANTS = """
    UPDATE user_roles g
       SET user_created_at = u.created_at
      FROM users u
     WHERE u.id = g.user_id
       AND (g.user_id, g.role) IN (SELECT r.user_id, r.role FROM user_roles r
                                    WHERE r.role IN (SELECT name FROM roles) AND r.user_created_at IS NULL
                                    LIMIT $1 FOR UPDATE OF r SKIP LOCKED)
 RETURNING g.user_id
"""
REVOKE_ROLE = "DELETE FROM user_roles WHERE user_id = $1 AND role = $2 RETURNING role"
REVOKE_ALL = "DELETE FROM user_roles WHERE user_id = $1 RETURNING role"
LIST_OF_USER = "SELECT role FROM user_roles WHERE user_id = $1 ORDER BY role"
LIST_OF_USERS = """
    SELECT ARRAY(SELECT r.role FROM user_roles r WHERE r.user_id = u.id ORDER BY r.role)
      FROM unnest($1::uuid[]) WITH ORDINALITY AS u (id, place)
     ORDER BY u.place
"""
LIST_ROLES = """
    SELECT name, description, permissions, is_built_in, created_at, updated_at FROM roles ORDER BY name
"""
FIND_ROLE = """
    SELECT name, description, permissions, is_built_in, created_at, updated_at FROM roles WHERE name = $1
"""
LOCK_ROLE = "SELECT name FROM roles WHERE name = $1 FOR UPDATE"
# Kept from being deleted until the transaction ends.
LOCK_DEFINED = "SELECT name FROM roles WHERE name = ANY($1::text[]) ORDER BY name FOR KEY SHARE"
# Held until the transaction ends, by whoever might take the last administrator away: of two that would, one waits and
# then counts what the other left.
LOCK_ADMINISTRATION = "SELECT name FROM roles WHERE name = 'admin' FOR NO KEY UPDATE"
LIST_ADMINISTRATORS = "SELECT user_id FROM user_roles WHERE role = 'admin' ORDER BY user_id"
ADD_ROLE = """
    INSERT INTO roles (name, description, permissions) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING name
"""
REPLACE_ROLE = """
    UPDATE roles SET description = $2, permissions = $3, updated_at = keystead_now()
     WHERE name = $1 AND NOT is_built_in
 RETURNING name
"""
DELETE_ROLE = "DELETE FROM roles WHERE name = $1 AND NOT is_built_in RETURNING name"
DELETE_DEFINED = "DELETE FROM roles WHERE NOT is_built_in"
ADVANCE_VERSION = "UPDATE authorization_state SET version = version + 1"
READ_DEFINITIONS = """
    SELECT a.version, r.name, r.permissions
      FROM authorization_state a LEFT JOIN roles r ON NOT r.is_built_in
"""


@dataclass(frozen=True, slots=True)
class StoredRole:
    name: str
    description: str
    permissions: list[str]
    is_built_in: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Definitions:
    """What each custom role permits, as of one version."""

    version: int
    permissions: dict[str, frozenset[str]]


async def grant(db: Runner, user_id: UUID, role: str) -> bool:
    """False where the user holds the role already."""
    return await db.fetch_row(GRANT_ROLE, user_id, role) is not None


async def grant_all(db: Runner, grants: Sequence[tuple[UUID, str]]) -> None:
    """To users who hold none of them yet."""
    await db.execute(GRANT_ROLES, [user_id for user_id, _ in grants], [role for _, role in grants])


async def date_grants(db: Runner, *, limit: int) -> int:
    """Put the age of their users to those that version 0.1 made. How many."""
    return len(await db.fetch(DATE_GRANTS, limit))


async def revoke(db: Runner, user_id: UUID, role: str) -> bool:
    """False where the user does not hold the role."""
    return await db.fetch_row(REVOKE_ROLE, user_id, role) is not None


async def revoke_all(db: Runner, user_id: UUID) -> None:
    await db.execute(REVOKE_ALL, user_id)


async def list_of_user(db: Runner, user_id: UUID) -> tuple[str, ...]:
    return tuple(row[0] for row in await db.fetch(LIST_OF_USER, user_id))


async def list_of_users(db: Runner, user_ids: Sequence[UUID]) -> list[tuple[str, ...]]:
    """Of each, in the same order."""
    return [tuple(row[0]) for row in await db.fetch(LIST_OF_USERS, user_ids)]


async def list_all(db: Runner) -> list[StoredRole]:
    return [StoredRole(*row) for row in await db.fetch(LIST_ROLES)]


async def find(db: Runner, name: str) -> StoredRole | None:
    row = await db.fetch_row(FIND_ROLE, name)
    return StoredRole(*row) if row else None


async def lock(db: Runner, name: str) -> None:
    """Nobody changes or gives it until the transaction ends."""
    await db.execute(LOCK_ROLE, name)


async def lock_defined(db: Runner, names: frozenset[str]) -> frozenset[str]:
    """Those of them that are defined, and stay so until the transaction ends."""
    return frozenset(row[0] for row in await db.fetch(LOCK_DEFINED, list(names)))


async def lock_administration(db: Runner) -> list[UUID]:
    """Every administrator, whatever their status; nobody else takes one away until the transaction ends."""
    await db.execute(LOCK_ADMINISTRATION)
    return [row[0] for row in await db.fetch(LIST_ADMINISTRATORS)]


async def add(db: Runner, name: str, *, description: str, permissions: frozenset[str]) -> bool:
    """False where the name is taken."""
    return await db.fetch_row(ADD_ROLE, name, description, sorted(permissions)) is not None


async def replace(db: Runner, name: str, *, description: str, permissions: frozenset[str]) -> bool:
    """False where it is built in, or there is none."""
    return await db.fetch_row(REPLACE_ROLE, name, description, sorted(permissions)) is not None


async def delete(db: Runner, name: str) -> bool:
    """False where it is built in, or there is none. Whoever holds it holds it no more."""
    return await db.fetch_row(DELETE_ROLE, name) is not None


async def delete_defined(db: Runner) -> None:
    """Every role that is not built in. Whoever held one holds it no more."""
    await db.execute(DELETE_DEFINED)


async def advance_version(db: Runner) -> None:
    await db.execute(ADVANCE_VERSION)


async def read_definitions(db: Runner) -> Definitions:
    rows = await db.fetch(READ_DEFINITIONS)
    if not rows:
        raise LookupError("the authorization state has no row")
    permissions = {row[1]: frozenset(row[2]) for row in rows if row[1] is not None}
    return Definitions(rows[0][0], permissions)
