"""Health: whether this process can do its work, and how each part is."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter
from typing import ClassVar

from keystead import __version__
from keystead.jwt.keyring import Keyring
from keystead.kernel.caller import Access, Caller, Permission, PermissionMissing
from keystead.kernel.clock import Clock
from keystead.kernel.db import Database
from keystead.kernel.errors import Unavailable
from keystead.kernel.migrate import shipped
from keystead.kernel.redis import Redis, RedisError

_VERSION = re.compile(rb"(?:valkey|redis)_version:(\S+)")

READ_SCHEMA = (
    "SELECT max(version) AS version, current_setting('server_version') AS server FROM schema_migrations"
)


@dataclass(frozen=True, slots=True)
class Part:
    """How one part is: `ok`, `degraded` or `down`; `latency_ms` of asking it."""

    status: str
    latency_ms: float
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """`ok`, `degraded` (works, without Redis) or `down` (must not get traffic)."""

    status: str
    version: str
    parts: dict[str, Part]


@dataclass(frozen=True, slots=True)
class CheckHealth:
    """Asks every part, now."""

    db: Database
    redis: Redis
    keyring: Keyring
    clock: Clock

    async def __call__(self) -> Health:
        parts = {
            "postgresql": await _ask(self._postgresql),
            "redis": await _ask(self._redis, when_down="degraded"),
            "keys": await _ask(self._keys),
        }
        statuses = {part.status for part in parts.values()}
        status = next((status for status in ("down", "degraded") if status in statuses), "ok")
        return Health(status, __version__, parts)

    async def _postgresql(self) -> str:
        row = await self.db.fetch_row(READ_SCHEMA)
        if row is None or row["version"] is None or row["version"] < shipped()[-1].version:
            raise Unavailable
        return str(row["server"])

    async def _redis(self) -> str | None:
        try:
            told = await self.redis.call("INFO", "server")
        except RedisError as error:
            raise Unavailable from error
        # Valkey tells the Redis version it is compatible with, and then its own.
        versions = _VERSION.findall(told) if isinstance(told, bytes) else []
        return versions[-1].decode() if versions else None

    async def _keys(self) -> None:
        self.keyring.current(self.clock.now())


@dataclass(frozen=True, slots=True)
class ReadHealth:
    """The whole report, for those who may see it."""

    check_health: CheckHealth
    requires: ClassVar = Permission.HEALTH_READ
    refuses: ClassVar = (PermissionMissing,)

    async def __call__(self, caller: Caller) -> Health:
        caller.require(self.requires)
        return await self.check_health()


@dataclass(frozen=True, slots=True)
class CheckReadiness:
    """The one word: `ok`, `degraded` or `down`."""

    check_health: CheckHealth
    requires: ClassVar = Access.PUBLIC
    refuses: ClassVar = (Unavailable,)

    async def __call__(self) -> str:
        return (await self.check_health()).status


async def _ask(part: Callable[[], Awaitable[str | None]], *, when_down: str = "down") -> Part:
    started = perf_counter()
    try:
        version, status = await part(), "ok"
    except Unavailable:
        version, status = None, when_down
    return Part(status, round((perf_counter() - started) * 1000, 3), version)
