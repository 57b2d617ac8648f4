"""Fixtures of the whole suite: real servers, real databases, time that can be moved."""

import gc
import sys
import threading
from collections import Counter
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import anyio
import httpx2
import pytest
import structlog

from keystead.api.rest.server import rest_app
from keystead.kernel.db import Database, PoolLimits
from keystead.kernel.secrets import Secret
from keystead.serving.drain import Drain
from keystead.settings import load
from keystead.vault import Vault
from keystead.wiring import open_core
from tests.support import throwaway
from tests.support.clock import MovableClock
from tests.support.databases import Cluster

TESTS = Path(__file__).parent
ROOT_SECRET = "a root secret of the test suite, 0123456789"
# A traceback as Python writes it: with the rich one's locals and colours, a single 500 takes seconds.
PLAIN = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
# Coverage watches this many cases of a test in each process: those that follow take the same paths with other values,
# and to look on would take as long again. In some modules a single case does that.
WATCHED_CASES = 5
UNWATCHED = {
    "contract/test_machine_permissions.py",
    "contract/test_permissions.py",
    "jwt/test_altered_tokens.py",
    "jwt/test_broken_checks.py",
    "security/test_isolation.py",
    "security/test_source.py",
    "users/known_passwords/test_build.py",
    "users/known_passwords/test_strength.py",
}
NEEDS_SERVERS = {"cluster", "valkey", "urls", "db", "vault", "core", "client", "server"}

seen = Counter[str]()

structlog.configure(processors=[*structlog.get_config()["processors"][:-1], PLAIN])
if find_spec("sniffio") is None:
    # httpx2 asks for it at each request, and what is not there would be looked for in every folder each time.
    sys.modules["sniffio"] = None  # type: ignore[assignment]


def pytest_collection():
    gc.disable()


def pytest_collection_finish():
    """What is there now stays to the end: half a million objects, among which no later search will find garbage."""
    gc.enable()
    gc.freeze()


def pytest_collection_modifyitems(items):
    for item in items:
        if NEEDS_SERVERS & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.integration)
    # Those that may take long begin first, lest one worker is at it when the others have ended.
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    case = item.nodeid.partition("[")[0]
    seen[case] += 1
    if seen[case] <= WATCHED_CASES and str(item.path.relative_to(TESTS)) not in UNWATCHED:
        return (yield)
    with unwatched():
        return (yield)


@contextmanager
def unwatched():
    """What starts meanwhile in this thread, and threads that do, are not looked at by coverage."""
    traces = sys.gettrace(), threading.gettrace()
    sys.settrace(None)
    threading.settrace(None)
    try:
        yield
    finally:
        sys.settrace(traces[0])
        threading.settrace(traces[1])


@pytest.fixture(scope="session")
def anyio_backend():
    return "asyncio"


def settings_for(urls, redis_url="unix:///nowhere/valkey.sock", **more):
    """Settings of the profile `test` over one database; keys as in the environment, without APP_."""
    environ = {
        "APP_ENV": "test",
        "APP_DATABASE__URL": urls.runtime,
        "APP_DATABASE__MIGRATION_URL": urls.owner,
        "APP_DATABASE__MIN_CONNECTIONS": "1",
        "APP_REDIS__URL": redis_url,
        "APP_AUTH__JWT_SECRET": ROOT_SECRET,
        "APP_AUTH__RSA_BITS": "2048",
        "APP_AUTH__ARGON2__MEMORY_KIB": "8",
        "APP_AUTH__ARGON2__ITERATIONS": "1",
        # Tests ask more of one address than a thousand people would; tests/limits enforces.
        "APP_LIMITS__MODE": "observe",
        **{f"APP_{name}": value for name, value in more.items()},
    }
    return load(Path("/nonexistent"), environ).settings


@pytest.fixture(scope="session")
def cluster():
    """PostgreSQL, for this test process alone; a database named TEMPLATE is migrated."""
    with throwaway.postgres() as server:
        made = Cluster(server)
        anyio.run(made.make_template, settings_for)
        yield made


@pytest.fixture
async def urls(cluster):
    """A fresh migrated database."""
    async with cluster.clone() as made:
        yield made


@pytest.fixture
async def db(urls):
    """The fresh database, as the runtime role."""
    database = Database(Secret(urls.runtime), PoolLimits(max_connections=10))
    yield database
    await database.close()


@pytest.fixture
async def vault(db):
    return await Vault.unlock(db, Secret(ROOT_SECRET))


@pytest.fixture
def clock(urls):
    """Moves the application's time and the database's."""
    return MovableClock(urls.owner)


@pytest.fixture
def configured():
    """More settings for `core` and `client`; a module or a class overrides this fixture."""
    return {}


@pytest.fixture
def settings(urls, configured):
    return settings_for(urls, **configured)


@pytest.fixture
async def running(settings, clock):
    async with open_core(settings, clock=clock) as opened:
        yield opened


@pytest.fixture
def core(running):
    return running.core


@pytest.fixture
def drain():
    return Drain(0)


@pytest.fixture
async def client(core, settings, drain):
    """A client of the whole REST transport, in this process."""
    app = rest_app(core, settings, drain)
    transport = httpx2.ASGITransport(app=app, raise_app_exceptions=True)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:3000") as made:
        yield made
