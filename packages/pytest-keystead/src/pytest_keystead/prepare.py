"""Fills the database that runs start from: schema, signing key, administrator. Run as a file.

Arguments: the administrator's address and password, and the URL of the database for its superuser.
"""

import asyncio
import sys

import asyncpg

from keystead.kernel.config import ConfigError
from keystead.kernel.errors import CannotStart, Refusal, Unavailable
from keystead.kernel.migrate import migrate
from keystead.kernel.telemetry import configure_logging
from keystead.serving.instance import owner_url, runtime_url
from keystead.settings import Settings, load
from keystead.wiring import open_core

# What is only there to make more databases from is two thirds of the files, and a start is mostly the copying of files.
_SHED = (
    "UPDATE pg_database SET datistemplate = false",
    "DROP DATABASE postgres",
    "DROP DATABASE template1",
    "DROP DATABASE template0",
    "CHECKPOINT",
    "SELECT pg_switch_wal()",
)


async def prepare(settings: Settings, *, email: str, password: str, superuser_url: str) -> None:
    await migrate(owner_url(settings), runtime_url=runtime_url(settings))
    async with open_core(settings) as running:
        await running.core.accounts.bootstrap(email=email, password=password)
    connection = await asyncpg.connect(superuser_url)
    try:
        for statement in _SHED:
            await connection.execute(statement)
    finally:
        await connection.close()


def main() -> int:
    email, password, superuser_url = sys.argv[1:]
    try:
        settings = load().settings
        configure_logging(level=settings.logging.level, form=settings.logging.format)
        asyncio.run(prepare(settings, email=email, password=password, superuser_url=superuser_url))
    except (ConfigError, CannotStart, Refusal, Unavailable) as error:
        sys.stdout.write(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
