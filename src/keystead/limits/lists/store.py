"""The tables of the lists: the networks, and the version of it all."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_network
from uuid import UUID

from keystead.kernel.db import Runner
from keystead.limits.lists.types import ListedNetwork, Verdict
from keystead.limits.networks import Network

_COLUMNS = "id, network::text AS network, verdict, because, created_at, created_by, expires_at"

READ_VERSION = "SELECT version, keystead_now() AS now FROM networks_version"
# Held until the transaction ends: of two that change the lists, one waits, and then sees what the other did.
ADVANCE_VERSION = "UPDATE networks_version SET version = version + 1"
LIST = f"SELECT {_COLUMNS} FROM networks"  # noqa: S608 - constants of ours, here and below
LIST_AROUND = f"""
    SELECT {_COLUMNS} FROM networks
     WHERE network >>= $1::inet AND (expires_at IS NULL OR keystead_now() < expires_at)
"""  # noqa: S608
# What stands there already is renewed.
ADD = f"""
    INSERT INTO networks (id, network, verdict, because, created_by, expires_at)
    VALUES ($1, $2, $3, $4, $5, keystead_now() + $6::interval)
        ON CONFLICT (network, verdict) DO UPDATE
       SET because = EXCLUDED.because, created_by = EXCLUDED.created_by, created_at = keystead_now(),
           expires_at = EXCLUDED.expires_at
 RETURNING {_COLUMNS}
"""  # noqa: S608
COUNT = "SELECT count(*) FROM networks"
REMOVE = f"""
    DELETE FROM networks
     WHERE id = $1 AND (expires_at IS NULL OR keystead_now() < expires_at)
 RETURNING {_COLUMNS}
"""  # noqa: S608
REMOVE_NETWORK = f"""
    DELETE FROM networks
     WHERE network = $1 AND (expires_at IS NULL OR keystead_now() < expires_at)
 RETURNING {_COLUMNS}
"""  # noqa: S608
SWEEP = """
    DELETE FROM networks
     WHERE id IN (SELECT id FROM networks WHERE expires_at <= keystead_now() - $1::interval
                   LIMIT $2 FOR UPDATE SKIP LOCKED)
 RETURNING id
"""


@dataclass(frozen=True, slots=True)
class StoredNetwork:
    id: UUID
    network: str
    verdict: str
    because: str
    created_at: datetime
    created_by: UUID | None
    expires_at: datetime | None

    def listed(self) -> ListedNetwork:
        return ListedNetwork(
            ip_network(self.network),
            Verdict(self.verdict),
            self.because,
            self.id,
            self.created_at,
            self.created_by,
            self.expires_at,
        )


async def read_version(db: Runner) -> tuple[int, datetime]:
    """And what time it is."""
    row = await db.fetch_row(READ_VERSION)
    if row is None:
        raise RuntimeError("networks_version has lost its row")
    return row["version"], row["now"]


async def list_all(db: Runner) -> list[StoredNetwork]:
    """Those that have ended, too, until they are swept."""
    return [StoredNetwork(*row) for row in await db.fetch(LIST)]


async def list_around(db: Runner, address: str) -> list[ListedNetwork]:
    """Those that an address is in."""
    return [StoredNetwork(*row).listed() for row in await db.fetch(LIST_AROUND, address)]


async def lock(db: Runner) -> None:
    """Nobody else changes the lists until the transaction ends; whoever holds a copy will read them anew."""
    await db.execute(ADVANCE_VERSION)


async def add(
    db: Runner,
    new_id: UUID,
    network: Network,
    verdict: Verdict,
    *,
    because: str,
    by: UUID | None,
    lifetime: timedelta | None,
) -> ListedNetwork:
    """Of another id, where the list had this network already."""
    row = await db.fetch_row(ADD, new_id, network, verdict.value, because, by, lifetime)
    if row is None:
        raise RuntimeError("an upsert without a row")
    return StoredNetwork(*row).listed()


async def count(db: Runner) -> int:
    row = await db.fetch_row(COUNT)
    return int(row["count"]) if row else 0


async def remove(db: Runner, network_id: UUID) -> ListedNetwork | None:
    row = await db.fetch_row(REMOVE, network_id)
    return StoredNetwork(*row).listed() if row else None


async def remove_network(db: Runner, network: Network) -> list[ListedNetwork]:
    """From both lists."""
    return [StoredNetwork(*row).listed() for row in await db.fetch(REMOVE_NETWORK, network)]


async def sweep(db: Runner, *, older_than: timedelta, limit: int) -> int:
    return len(await db.fetch(SWEEP, older_than, limit))
