"""What the proofs of the limits share: a real server of two workers that enforces them, and a Valkey to be cruel to."""

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import MappingProxyType
from typing import cast

from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from keystead.accounts.import_users import MAX_BATCH
from keystead.accounts.moving import Format, IncomingUser
from keystead.embedded.valkey import ValkeyServer
from keystead.kernel.caller import Operator
from keystead.kernel.redis import Redis
from keystead.kernel.secrets import Secret
from keystead.wiring import open_core
from tests.conftest import settings_for
from tests.proofs.site import Site, running_site
from tests.proofs.wire import Answer, Wire
from tests.support import throwaway
from tests.support.databases import Cluster
from tests.support.people import PASSWORD, Person, new_email, register

LOGIN = "/api/v1/auth/login"
ARGON2_AS_DELIVERED = MappingProxyType({"AUTH__ARGON2__MEMORY_KIB": "19456", "AUTH__ARGON2__ITERATIONS": "2"})
_ENFORCED = {
    "LIMITS__MODE": "enforce",
    "SERVER__TRUSTED_PROXIES": "127.0.0.0/8",  # the proof is the proxy, and says who the clients are
}
_FIGURES = "PROMETHEUS_MULTIPROC_DIR"


@dataclass(frozen=True, slots=True)
class Finding:
    """One figure beside what it must be; `n` is how often it was tried."""

    what: str
    n: int
    figure: str
    bar: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Stage:
    """The server, its Valkey, and the figures that its workers keep."""

    site: Site
    valkey: ValkeyServer
    figures: Path
    configured: Mapping[str, str]

    def wires(self, count: int) -> list[Wire]:
        return self.site.wires(count)

    def total(self, name: str) -> float:
        """A counter, over all workers and all its labels."""
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self.figures))
        samples = (sample for metric in registry.collect() for sample in metric.samples)
        return sum(sample.value for sample in samples if sample.name == name)

    def hashes(self) -> int:
        """How many the workers have computed: counted where it is done, beneath everything that limits."""
        return int(self.total("password_hashes_total"))


@asynccontextmanager
async def limited_stage(
    cluster: Cluster, *, configured: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[Stage]:
    """Two workers with the limits as delivered but for `configured`."""
    with throwaway.valkey() as valkey, _kept_figures() as figures:
        settings = {**_ENFORCED, "REDIS__URL": valkey.url, **configured}
        async with running_site(cluster, configured=settings) as site:
            yield Stage(site, valkey, figures, configured)


@asynccontextmanager
async def valkey_killed(stage: Stage) -> AsyncIterator[None]:
    """Gone while the block runs; at its end it is back, and the workers have found it."""
    assert stage.valkey.pid is not None
    os.kill(stage.valkey.pid, signal.SIGKILL)
    try:
        yield
    finally:
        await asyncio.to_thread(restart, stage.valkey)
        await until_found(stage)


def restart(valkey: ValkeyServer) -> None:
    valkey.stop()
    throwaway.start(valkey)


async def until_found(stage: Stage) -> None:
    """Returns when every worker is connected to Valkey."""
    own = Redis(Secret(stage.valkey.url), timeout=timedelta(seconds=5))
    try:
        async with asyncio.timeout(30):
            while cast(bytes, await own.call("CLIENT", "LIST")).count(b"\n") <= len(
                stage.site.server.workers
            ):
                await asyncio.sleep(0.05)
    finally:
        await own.close()


async def log_in(wire: Wire, email: str, password: str, *, address: str, device: str | None = None) -> Answer:
    headers = {"x-forwarded-for": address}
    if device is not None:
        headers["x-device-token"] = device
    return await wire.post(LOGIN, json={"email": email, "password": password}, headers=headers)


async def crowd(stage: Stage, size: int) -> list[str]:
    """The addresses of so many new people; their password is PASSWORD."""
    emails = [new_email() for _ in range(size)]
    async with open_core(settings_for(stage.site.urls, **stage.configured)) as running:
        password_hash = await running.core.auth.login.hasher.hash(PASSWORD)
        for first in range(0, size, MAX_BATCH):
            batch = [_incoming(email, password_hash) for email in emails[first : first + MAX_BATCH]]
            tally = await running.core.accounts.import_users(Operator(), batch, source=Format.KEYSTEAD)
            assert not tally.rejected, tally.rejected[:3]
    return emails


def _incoming(email: str, password_hash: str) -> IncomingUser:
    return IncomingUser(
        source_id=email,
        id=None,
        email=email,
        email_verified=True,
        full_name="John Doe",
        password_hash=password_hash,
        is_disabled=False,
        created_at=None,
        updated_at=None,
        preferences={},
        app_metadata={},
        roles=("user",),
    )


async def newcomer(stage: Stage, address: str) -> tuple[Person, str]:
    """Somebody with an account, and the token of the device they have signed in with."""
    wire = stage.wires(1)[0]
    person = await register(FromAddress(wire, address))
    answer = await log_in(wire, person.email, PASSWORD, address=address)
    assert answer.status_code == 200, answer.text
    return person, answer.headers["x-device-token"]


@dataclass(frozen=True, slots=True)
class FromAddress:
    """A connection whose every request comes from `address`, as the proxy says."""

    wire: Wire
    address: str

    async def post(
        self, path: str, *, headers: Mapping[str, str] | None = None, json: object = None
    ) -> Answer:
        return await self.wire.post(path, headers=self._told(headers), json=json)

    async def get(self, path: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        return await self.wire.get(path, headers=self._told(headers))

    def _told(self, headers: Mapping[str, str] | None) -> dict[str, str]:
        return {**(headers or {}), "x-forwarded-for": self.address}


@contextmanager
def _kept_figures() -> Iterator[Path]:
    """Workers that are started meanwhile keep their figures in a folder of this block's."""
    with tempfile.TemporaryDirectory(prefix="keystead-figures-") as folder:
        before = os.environ.get(_FIGURES)
        os.environ[_FIGURES] = folder
        try:
            yield Path(folder)
        finally:
            if before is None:
                del os.environ[_FIGURES]
            else:
                os.environ[_FIGURES] = before
