"""The table of signing keys. A key's state is read off its times, never stored."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from asyncpg import Record

from keystead.jwt.types import Algorithm, KeyRecord, KeySpec, KeyState
from keystead.kernel.db import Runner

# A key is replaced when the next one becomes active. One that was revoked before its turn never did.
LIST_KEYS = """
    SELECT number, kid, algorithm, rsa_bits, created_at, active_from,
           min(active_from) FILTER (WHERE revoked_at IS NULL OR revoked_at > active_from) OVER later
               AS replaced_at,
           revoked_at
      FROM signing_keys
    WINDOW later AS (ORDER BY active_from DESC, number DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
     ORDER BY active_from, number
"""
DATABASE_NOW = "SELECT keystead_now() AS now"
LOAD_WRAPPED = "SELECT kid, wrapped FROM signing_keys WHERE kid = ANY($1)"
ADD_KEY = """
    INSERT INTO signing_keys (number, kid, algorithm, rsa_bits, wrapped, active_from)
    VALUES ($1, $2, $3, $4, $5, keystead_now() + $6::interval)
    ON CONFLICT (number) DO NOTHING
    RETURNING kid
"""
REVOKE_KEY = """
    UPDATE signing_keys
       SET revoked_at = keystead_now()
     WHERE kid = $1 AND revoked_at IS NULL
 RETURNING kid
"""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that is not stored yet, its private part wrapped."""

    kid: str
    spec: KeySpec
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class KeyHistory:
    """Every key there ever was, in the order of their turns, and the database's time when it was read."""

    now: datetime
    keys: tuple[KeyRecord, ...]

    @property
    def active(self) -> KeyRecord | None:
        return next((key for key in self.keys if key.state(self.now) is KeyState.ACTIVE), None)

    @property
    def upcoming(self) -> KeyRecord | None:
        """The last of the keys that wait for their turn."""
        waiting = [key for key in self.keys if key.state(self.now) is KeyState.NEXT]
        return waiting[-1] if waiting else None

    @property
    def next_number(self) -> int:
        return max((key.number for key in self.keys), default=0) + 1

    def find(self, kid: str) -> KeyRecord | None:
        return next((key for key in self.keys if key.kid == kid), None)


async def load_history(db: Runner) -> KeyHistory:
    rows = await db.fetch(LIST_KEYS)
    # The time is read last, so that it is not before anything in the rows that has happened.
    (clock,) = await db.fetch(DATABASE_NOW)
    return KeyHistory(clock["now"], tuple(_record(row) for row in rows))


async def load_wrapped(db: Runner, kids: Collection[str]) -> dict[str, bytes]:
    """The wrapped private parts, by the ids of their keys."""
    return {row["kid"]: row["wrapped"] for row in await db.fetch(LOAD_WRAPPED, list(kids))}


async def add(db: Runner, key: NewKey, *, number: int, lead: timedelta) -> bool:
    """Add `key`, to become active after `lead`. False where another process has taken that number."""
    spec = key.spec
    row = await db.fetch_row(ADD_KEY, number, key.kid, spec.algorithm.value, spec.rsa_bits, key.wrapped, lead)
    return row is not None


async def revoke(db: Runner, kid: str) -> bool:
    """False where there is no such key, or it was revoked before."""
    return await db.fetch_row(REVOKE_KEY, kid) is not None


def _record(row: Record) -> KeyRecord:
    return KeyRecord(
        number=row["number"],
        kid=row["kid"],
        algorithm=Algorithm(row["algorithm"]),
        rsa_bits=row["rsa_bits"],
        created_at=row["created_at"],
        active_from=row["active_from"],
        replaced_at=row["replaced_at"],
        revoked_at=row["revoked_at"],
    )
