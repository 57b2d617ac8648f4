"""Under which conditions a figure was measured; without them it says nothing."""

import asyncio
import platform
from importlib.metadata import version
from pathlib import Path

import asyncpg

from bench import procfs
from bench.floors import CORES
from bench.servers import Keystead
from keystead.serving.instance import attached
from keystead.settings import load

_DATABASE = """
    SELECT split_part(version(), ' on ', 1) || ', fsync ' || current_setting('fsync')
           || ', synchronous_commit ' || current_setting('synchronous_commit')
"""
_PACKAGES = ("uvicorn", "starlette", "asyncpg", "cryptography", "argon2-cffi-bindings")


def describe(server: Keystead) -> dict[str, str]:
    """Of the machine, the programs, and the database behind `server`."""
    return {
        "processor": f"{procfs.processor()}, {CORES} cores",
        "Python": platform.python_version(),
        "packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
        "database": asyncio.run(_ask(server)),
    }


async def _ask(server: Keystead) -> str:
    with attached(load(Path("/nonexistent"), server.environ).settings) as settings:
        assert settings.database.url is not None
        connection = await asyncpg.connect(settings.database.url.reveal())
        try:
            return str(await connection.fetchval(_DATABASE))
        finally:
            await connection.close()
