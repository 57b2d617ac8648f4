"""The vault's tables: the installation, its wrapped keys, and the data keys."""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from keystead.kernel.db import Runner

ADD_INSTALLATION = """
    INSERT INTO installation (epoch, root_fingerprint) VALUES ($1, $2) ON CONFLICT DO NOTHING
"""
LOAD_INSTALLATION = "SELECT epoch, root_fingerprint FROM installation"
LOCK_INSTALLATION = "SELECT epoch, root_fingerprint FROM installation FOR UPDATE"
REPLACE_FINGERPRINT = "UPDATE installation SET root_fingerprint = $1"
ADD_KEY = "INSERT INTO vault_keys (purpose, version, wrapped) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
LIST_KEYS = "SELECT purpose, version, wrapped FROM vault_keys"
REWRAP_KEY = "UPDATE vault_keys SET wrapped = $3 WHERE purpose = $1 AND version = $2"
ADD_DATA_KEY = "INSERT INTO data_keys (owner_id, wrapped) VALUES ($1, $2)"
ADD_DATA_KEYS = "INSERT INTO data_keys (owner_id, wrapped) SELECT * FROM unnest($1::uuid[], $2::bytea[])"
FIND_DATA_KEY = "SELECT wrapped FROM data_keys WHERE owner_id = $1"
SHRED_DATA_KEY = "DELETE FROM data_keys WHERE owner_id = $1"


@dataclass(frozen=True, slots=True)
class InstallationRow:
    epoch: int
    root_fingerprint: bytes


@dataclass(frozen=True, slots=True)
class KeyRow:
    purpose: str
    version: int
    wrapped: bytes


async def add_installation(db: Runner, *, epoch: int, fingerprint: bytes) -> None:
    """Does nothing where the installation exists."""
    await db.execute(ADD_INSTALLATION, epoch, fingerprint)


async def load_installation(db: Runner, *, locked: bool = False) -> InstallationRow:
    row = await db.fetch_row(LOCK_INSTALLATION if locked else LOAD_INSTALLATION)
    if row is None:
        raise LookupError("the installation has no row")
    return InstallationRow(*row)


async def replace_fingerprint(db: Runner, fingerprint: bytes) -> None:
    await db.execute(REPLACE_FINGERPRINT, fingerprint)


async def add_key(db: Runner, key: KeyRow) -> None:
    """Does nothing where that version exists: the first writer's key is everybody's."""
    await db.execute(ADD_KEY, key.purpose, key.version, key.wrapped)


async def list_keys(db: Runner) -> list[KeyRow]:
    return [KeyRow(*row) for row in await db.fetch(LIST_KEYS)]


async def rewrap_key(db: Runner, key: KeyRow) -> None:
    await db.execute(REWRAP_KEY, key.purpose, key.version, key.wrapped)


async def add_data_key(db: Runner, owner_id: UUID, wrapped: bytes) -> None:
    await db.execute(ADD_DATA_KEY, owner_id, wrapped)


async def add_data_keys(db: Runner, wrapped: Mapping[UUID, bytes]) -> None:
    """By owner."""
    await db.execute(ADD_DATA_KEYS, list(wrapped), list(wrapped.values()))


async def find_data_key(db: Runner, owner_id: UUID) -> bytes | None:
    row = await db.fetch_row(FIND_DATA_KEY, owner_id)
    return row[0] if row else None


async def shred_data_key(db: Runner, owner_id: UUID) -> None:
    await db.execute(SHRED_DATA_KEY, owner_id)
