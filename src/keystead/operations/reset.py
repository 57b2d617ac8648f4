"""Reset: everybody and everything of theirs goes, and the installation stays. For development."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import asyncpg

from keystead.kernel.db import Database, PoolLimits
from keystead.kernel.errors import CannotStart
from keystead.kernel.secrets import Secret
from keystead.limits.lists import store as networks
from keystead.roles import store as roles
from keystead.users import store as users

# What the installation is, rather than what is in it: a server that runs goes on, under the same keys.
_STAYS = (
    "authorization_state",
    "installation",
    "networks_version",
    "roles",
    "schema_migrations",
    "signing_keys",
    "vault_keys",
)
_LIMITS = PoolLimits(max_connections=1, statement_timeout=timedelta(minutes=1))
LIST_EMPTIED = """
    SELECT quote_ident(tablename)
      FROM pg_catalog.pg_tables
     WHERE schemaname = current_schema() AND tablename <> ALL ($1::text[])
     ORDER BY tablename
"""


@dataclass(frozen=True, slots=True)
class Reset:
    """Empties the tables as their owner, all or none, whether a server runs or not.

    One that runs refuses every token from then on. Raises DatabaseUnavailable where somebody holds a table for long,
    CannotStart where the tables are not the owner's.
    """

    owner: Secret

    async def count(self) -> int:
        """How many accounts would go."""
        async with self._database() as db:
            return await users.count(db)

    async def __call__(self) -> None:
        try:
            async with self._database() as db, db.begin() as tx:
                emptied = [row[0] for row in await tx.fetch(LIST_EMPTIED, _STAYS)]
                await tx.execute("SET LOCAL lock_timeout = '10s'")
                await tx.execute(f"TRUNCATE {', '.join(emptied)}")
                await roles.delete_defined(tx)
                await roles.advance_version(tx)
                await networks.lock(tx)
        except asyncpg.InsufficientPrivilegeError as error:
            raise CannotStart(f"{error}: set APP_DATABASE__MIGRATION_URL to the owner's.") from error

    @asynccontextmanager
    async def _database(self) -> AsyncIterator[Database]:
        db = Database(self.owner, _LIMITS)
        try:
            yield db
        finally:
            await db.close()
