"""A data folder that is complete already, copied for each test, and ways to look at processes."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import asyncpg
import pytest

from keystead.embedded import place
from keystead.embedded.account import Account
from keystead.embedded.folder import DataFolder, Endpoints
from keystead.embedded.launcher import Embedded, Wanted

EVERYTHING = Wanted(postgres=True, valkey=True, root_secret=True)
IS_ROOT = os.geteuid() == 0


def _roomy_memory() -> str | None:
    """Where to copy databases quickly: memory, if there is plenty; None stands for the usual folder."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        return None
    status = os.statvfs(memory)
    return str(memory) if status.f_bavail * status.f_frsize > 1 << 30 else None


MEMORY = _roomy_memory()


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder with a short path, that other users may pass through."""
    path = Path(tempfile.mkdtemp(prefix="ks-", dir=MEMORY))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


@pytest.fixture(autouse=True)
def _no_state_outside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "STATE", folder / "state")


@pytest.fixture(scope="session")
def _made() -> Iterator[Path]:
    """Complete data, stopped in order."""
    parent = Path(tempfile.mkdtemp(prefix="ks-made-", dir=MEMORY))
    parent.chmod(0o711)
    with running(parent / "data") as (_, endpoints):
        query(endpoints.migration_url, "CREATE TABLE notes (text text)")
        query(endpoints.migration_url, "GRANT SELECT, INSERT ON notes TO keystead_runtime")
    yield parent / "data"
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


def wait_until(condition: Callable[[], object], *, seconds: float = 20) -> None:
    deadline = monotonic() + seconds
    while not condition():
        assert monotonic() < deadline, "it never came true"
        sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody asked about does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


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
        [python, "-c", LAUNCHER, data],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
        **({"user": user.uid, "group": user.gid, "extra_groups": []} if user else {}),
    )
    with process:
        try:
            yield process
        finally:
            process.kill()
