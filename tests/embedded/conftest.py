"""A data folder that is complete already, copied for each test, and ways to look at processes."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from keystead.embedded import place
from keystead.embedded.account import Account
from keystead.embedded.folder import DataFolder, Endpoints
from keystead.embedded.launcher import Embedded, Wanted
from tests.embedded.processes import make_folder

EVERYTHING = Wanted(postgres=True, valkey=True, root_secret=True)
IS_ROOT = os.geteuid() == 0


@pytest.fixture
def folder() -> Iterator[Path]:
    path = make_folder("ks-")
    yield path
    shutil.rmtree(path)


@pytest.fixture(autouse=True)
def _no_state_outside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "STATE", folder / "state")


@pytest.fixture(scope="session")
def _made() -> Iterator[Path]:
    """Complete data, stopped in order."""
    parent = make_folder("ks-made-")
    with running(parent / "data") as (_, endpoints):
        query(endpoints.migration_url, "CREATE TABLE notes (text text)")
        query(endpoints.migration_url, "GRANT SELECT, INSERT ON notes TO keystead_runtime")
    yield parent / "data"
    shutil.rmtree(parent)


@pytest.fixture(scope="session")
def shared() -> Iterator[tuple[Embedded, Endpoints, Path]]:
    """Servers that run all the time, for tests that change nothing but rows."""
    parent = make_folder("ks-shared-")
    with running(parent / "data") as (embedded, endpoints):
        query(endpoints.migration_url, "CREATE TABLE notes (text text)")
        query(endpoints.migration_url, "GRANT SELECT, INSERT ON notes TO keystead_runtime")
        yield embedded, endpoints, parent / "data"
    shutil.rmtree(parent)


@pytest.fixture
def data(_made: Path, folder: Path) -> Path:
    """A data folder with a database that has the empty table `notes`."""
    subprocess.run(["cp", "-a", _made, folder / "data"], check=True)
    return folder / "data"


@contextmanager
def running(data: Path, wanted: Wanted = EVERYTHING, **options) -> Iterator[tuple[Embedded, Endpoints]]:
    with DataFolder.open(data) as folder:
        embedded = Embedded(folder, wanted, **options)
        try:
            endpoints = embedded.start()
            folder.announce(url="http://127.0.0.1:3000", endpoints=endpoints)
            yield embedded, endpoints
        finally:
            embedded.stop()


def query(url: str | None, sql: str) -> list[asyncpg.Record]:
    async def ask() -> list[asyncpg.Record]:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetch(sql)
        finally:
            await connection.close()

    return asyncio.run(ask())


LAUNCHER = """
import signal, sys
from pathlib import Path
from keystead.embedded.folder import DataFolder
from keystead.embedded.launcher import Embedded, Wanted
with DataFolder.open(Path(sys.argv[1])) as folder:
    embedded = Embedded(folder, Wanted(postgres=True, valkey=True, root_secret=True))
    endpoints = embedded.start()
    print(endpoints.database_url, embedded._postgres.pid, embedded._valkey.pid, flush=True)
    sys.stdin.read()
    embedded.stop()
"""


@contextmanager
def launcher(
    data: Path, *, python: str = sys.executable, user: Account | None = None, **environment: str
) -> "Iterator[subprocess.Popen[str]]":
    """Another process that starts the servers, tells about them in one line, and stops them at the end of input."""
    process = subprocess.Popen(
        [python, "-c", LAUNCHER, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
        user=user.uid if user else None,
        group=user.gid if user else None,
        extra_groups=[] if user else None,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()
