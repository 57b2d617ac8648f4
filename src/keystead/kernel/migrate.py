"""The migration runner: numbered plain SQL, forward only, one runner at a time, checksums kept."""

import asyncio
import hashlib
import re
from dataclasses import dataclass
from importlib import resources
from urllib.parse import unquote, urlsplit

import asyncpg
import structlog
from asyncpg import Connection, Record

from keystead.kernel.errors import CannotStart
from keystead.kernel.secrets import Secret

log = structlog.get_logger("migrate")

_FILE = re.compile(r"(\d{4})_(\w+)\.sql")
_ALONE = "-- keystead: no transaction"  # first line of a file whose one statement cannot run in a transaction
_LOCK = 0x6B65797374656164  # "keystead"
_LOCK_TRIES = 10
_TURN_POLL_SECONDS = 0.1

CREATE_HISTORY = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        version integer PRIMARY KEY,
        name text NOT NULL,
        checksum text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
"""
READ_HISTORY = "SELECT version, name, checksum FROM schema_migrations ORDER BY version"
ADD_TO_HISTORY = "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)"
HISTORY_EXISTS = "SELECT to_regclass('schema_migrations') IS NOT NULL"
NAME_RUNTIME_ROLE = "SELECT set_config('keystead.runtime_role', $1, true)"


class SchemaBehind(CannotStart):
    """The database has not seen every migration of this version."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One shipped file."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Status:
    """Which migrations a database has, lacks, and knows although this version does not."""

    applied: tuple[Migration, ...]
    pending: tuple[Migration, ...]
    newer: tuple[str, ...]


def shipped() -> tuple[Migration, ...]:
    """Every migration of this version, in order."""
    files = sorted(resources.files("keystead.migrations").iterdir(), key=lambda file: file.name)
    return tuple(
        Migration(int(match[1]), match[2], file.read_text("utf-8"))
        for file in files
        if (match := _FILE.fullmatch(file.name))
    )


async def read_status(url: Secret) -> Status:
    """Compare the database with what is shipped. Raises CannotStart for a migration that was changed later."""
    connection = await _connect(url)
    try:
        return await _status(connection)
    finally:
        await connection.close()


async def require_current(url: Secret) -> None:
    """Raises SchemaBehind when a migration is pending. A schema that is ahead is the version to come: fine."""
    status = await read_status(url)
    if status.pending:
        raise SchemaBehind(
            f"The database lacks {len(status.pending)} migration(s), the first being "
            f"{status.pending[0].version:04} {status.pending[0].name}: run `keystead migrate`."
        )


async def migrate(url: Secret, *, runtime_url: Secret) -> tuple[Migration, ...]:
    """Apply what is pending as the owner, then grant the runtime role its rights. Returns what was applied."""
    connection = await _connect(url)
    try:
        await _take_turn(connection)
        await connection.execute("SET lock_timeout = '2s'")
        await connection.execute(CREATE_HISTORY)
        status = await _status(connection)
        for migration in status.pending:
            await _apply(connection, migration)
        await _grant(connection, runtime_url)
        return status.pending
    finally:
        await connection.close()


async def _take_turn(connection: "Connection[Record]") -> None:
    """One runner at a time. Asked for again and again: a statement that waits for the lock would hold a snapshot,
    which CREATE INDEX CONCURRENTLY of the runner before us waits for."""
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _LOCK):  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(_TURN_POLL_SECONDS)


async def _connect(url: Secret) -> "Connection[Record]":
    try:
        return await asyncpg.connect(url.reveal(), timeout=10)
    except (
        OSError,
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        ValueError,
    ) as error:
        reason = str(error) or type(error).__name__
        raise CannotStart(
            f"PostgreSQL at {_without_password(url)} cannot be used: {reason}. "
            "Check APP_DATABASE__URL (and APP_DATABASE__MIGRATION_URL), and that the server runs."
        ) from error


async def _status(connection: "Connection[Record]") -> Status:
    known = shipped()
    history: dict[int, Record] = {}
    if await connection.fetchval(HISTORY_EXISTS):
        history = {row["version"]: row for row in await connection.fetch(READ_HISTORY)}
    for migration in known:
        row = history.get(migration.version)
        if row is not None and row["checksum"] != migration.checksum:
            raise CannotStart(
                f"Migration {migration.version:04} {migration.name} was applied with other contents than this "
                "version ships: run the version that applied it, or restore a backup of the database."
            )
    versions = {migration.version for migration in known}
    return Status(
        applied=tuple(migration for migration in known if migration.version in history),
        pending=tuple(migration for migration in known if migration.version not in history),
        newer=tuple(row["name"] for version, row in history.items() if version not in versions),
    )


async def _apply(connection: "Connection[Record]", migration: Migration) -> None:
    for attempt in range(1, _LOCK_TRIES + 1):
        try:
            if migration.sql.startswith(_ALONE):
                await connection.execute(migration.sql)
                await _note(connection, migration)
            else:
                async with connection.transaction():
                    await connection.execute(migration.sql)
                    await _note(connection, migration)
        except asyncpg.LockNotAvailableError:
            # A long transaction holds the table. Waiting in the queue would stop every request behind us.
            if attempt == _LOCK_TRIES:
                raise
            await asyncio.sleep(attempt)
        else:
            log.info("migration.applied", version=migration.version, name=migration.name)
            return


async def _note(connection: "Connection[Record]", migration: Migration) -> None:
    await connection.execute(ADD_TO_HISTORY, migration.version, migration.name, migration.checksum)


async def _grant(connection: "Connection[Record]", runtime_url: Secret) -> None:
    role = _user(runtime_url)
    if role is None or role == await connection.fetchval("SELECT current_user"):
        return  # one role does both: nothing to grant, and the trail is then append-only by habit alone
    grants = resources.files("keystead.migrations").joinpath("grants.sql").read_text("utf-8")
    async with connection.transaction():
        await connection.fetchval(NAME_RUNTIME_ROLE, role)
        await connection.execute(grants)


def _user(url: Secret) -> str | None:
    user = urlsplit(url.reveal()).username
    return unquote(user) if user else None


def _without_password(url: Secret) -> str:
    parts = urlsplit(url.reveal())
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
