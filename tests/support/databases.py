"""Databases for tests: a migrated template, and clones of it that a test may write to."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import asyncpg

from keystead.embedded.postgres import PostgresServer
from keystead.kernel.migrate import migrate
from keystead.kernel.secrets import Secret
from keystead.settings import Settings
from keystead.wiring import open_core

TEMPLATE = "template_keystead"


@dataclass(frozen=True)
class Urls:
    """One database, as its owner and as the runtime role."""

    owner: str
    runtime: str


@dataclass(frozen=True)
class Cluster:
    """A PostgreSQL server of the test run."""

    server: PostgresServer

    def urls(self, database: str) -> Urls:
        return Urls(
            self.server.url("keystead_owner", database), self.server.url("keystead_runtime", database)
        )

    async def execute(self, *statements: str) -> None:
        connection = await asyncpg.connect(self.server.superuser_url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def make_template(self, settings_for) -> None:
        """A migrated database with an unlocked vault and a signing key, so that clones need not make one."""
        await self.execute(f"CREATE DATABASE {TEMPLATE} OWNER keystead_owner")
        urls = self.urls(TEMPLATE)
        await migrate(Secret(urls.owner), runtime_url=Secret(urls.runtime))
        settings: Settings = settings_for(urls)
        async with open_core(settings):
            pass

    @asynccontextmanager
    async def clone(self, template: str = TEMPLATE) -> AsyncIterator[Urls]:
        """A copy, dropped at the end."""
        name = f"test_{secrets.token_hex(6)}"
        # Its files, not its pages one by one through the log, which would grow by them.
        copying = f"TEMPLATE {template} OWNER keystead_owner STRATEGY FILE_COPY"
        await self.execute(f"CREATE DATABASE {name} {copying}")
        try:
            yield self.urls(name)
        finally:
            await self.execute(f"DROP DATABASE {name} WITH (FORCE)")
