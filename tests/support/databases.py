"""Databases for tests: a migrated template, and clones of it that a test may write to."""

import asyncio
import secrets
import threading
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


class Superuser:
    """One connection for whoever asks, in a thread with a loop of its own: to connect costs as much as a database."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._turn = asyncio.Lock()
        self._connection: asyncpg.Connection | None = None
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    async def execute(self, *statements: str) -> None:
        there = asyncio.run_coroutine_threadsafe(self._execute(statements), self._loop)
        await asyncio.wrap_future(there)

    async def _execute(self, statements: tuple[str, ...]) -> None:
        async with self._turn:
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(self._server.superuser_url)
            for statement in statements:
                await self._connection.execute(statement)


class Cluster:
    """A PostgreSQL server of the test run."""

    def __init__(self, server: PostgresServer) -> None:
        self.server = server
        self._superuser = Superuser(server)

    def urls(self, database: str) -> Urls:
        return Urls(
            self.server.url("keystead_owner", database), self.server.url("keystead_runtime", database)
        )

    async def execute(self, *statements: str) -> None:
        await self._superuser.execute(*statements)

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
