"""The real service as processes: workers over a database of the test, each on a port of its own."""

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from keystead.embedded.process import descriptors, tethered
from tests.conftest import ROOT_SECRET
from tests.support.databases import Urls
from tests.support.warm import POSSIBLE, Warm

COUNTING = "COVERAGE"  # its variables begin so, and make a process count its lines
_START_SECONDS = 30.0
_STOP_SECONDS = 15.0
_READ_AT_THE_IMPORT = {"COVERAGE_PROCESS_CONFIG", "PROMETHEUS_MULTIPROC_DIR"}  # by our libraries
_COMMAND = (sys.executable, "-m", "keystead.serving.worker")


def environment_for(urls: Urls, **more: str) -> dict[str, str]:
    """What a worker of the profile `test` is configured by; `more` as in the environment, without APP_.

    `{port}` in a value is the worker's. Coverage does not count its lines, which would take it twice as long.
    """
    inherited = {key: text for key, text in os.environ.items() if not key.startswith(("APP_", COUNTING))}
    return {
        **inherited,
        "APP_ENV": "test",
        "APP_DATABASE__URL": urls.runtime,
        "APP_DATABASE__MIN_CONNECTIONS": "1",
        "APP_REDIS__URL": "unix:///nowhere/valkey.sock",
        "APP_AUTH__JWT_SECRET": ROOT_SECRET,
        "APP_AUTH__RSA_BITS": "2048",
        "APP_AUTH__ARGON2__MEMORY_KIB": "8",
        "APP_AUTH__ARGON2__ITERATIONS": "1",
        "APP_LOGGING__LEVEL": "warning",
        "APP_LIMITS__MODE": "observe",
        **{f"APP_{name}": value for name, value in more.items()},
    }


class Worker:
    """One worker process. Its listening socket is ours and outlives it: who connects meanwhile waits for the next."""

    def __init__(self, environment: Mapping[str, str], folder: Path, number: int) -> None:
        self._environment = environment
        self._folder = folder
        self._log = folder / f"worker-{number}.log"
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self._process: subprocess.Popen[bytes] | Warm | None = None

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Of the running process."""
        return self._running().pid

    def log(self) -> str:
        """What it and those before it have said."""
        return self._log.read_text("utf-8", "replace")

    async def start(self) -> None:
        """Returns when it answers; an AssertionError tells its last words."""
        read_end, write_end = os.pipe()
        try:
            self._process = self._spawn(write_end)
            if not await asyncio.to_thread(_says_ready, read_end):
                self.kill9()
                raise AssertionError(f"the worker did not start: {self.log()[-2000:]}")
        finally:
            os.close(read_end)

    def kill9(self) -> None:
        """As if the machine had taken it; returns when it is gone."""
        process = self._running()
        process.kill()
        process.wait(_STOP_SECONDS)
        self._process = None

    async def stop(self) -> int:
        """SIGTERM, and the exit status; one that does not end in time is killed (status -9)."""
        process = self._running()
        process.terminate()
        try:
            return await asyncio.to_thread(process.wait, _STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
        finally:
            self._process = None

    async def close(self) -> None:
        """Stop it, if it runs, and close its port."""
        if self._process is not None:
            await self.stop()
        self._listener.close()

    def _spawn(self, ready: int) -> "subprocess.Popen[bytes] | Warm":
        given = {"KEYSTEAD_LISTEN_FD": self._listener.fileno(), "KEYSTEAD_READY_FD": ready}
        environment = self._told_port()
        try:
            with self._log.open("ab") as log, Path(os.devnull).open("rb") as nothing:
                streams = [nothing.fileno(), log.fileno(), log.fileno()]
                if POSSIBLE and not environment.keys() & _READ_AT_THE_IMPORT:
                    return Warm(
                        "worker", folder=self._folder, environment=environment, streams=streams, given=given
                    )
                return subprocess.Popen(
                    tethered(_COMMAND, ending=signal.SIGKILL),  # whatever becomes of us, no worker is left
                    cwd=self._folder,
                    env=environment | {name: str(number) for name, number in given.items()},
                    stdin=nothing,
                    stdout=log,
                    stderr=log,
                    pass_fds=descriptors(*given.values()),
                    start_new_session=True,
                )
        finally:
            os.close(ready)

    def _told_port(self) -> dict[str, str]:
        return {
            name: value.replace("{port}", str(self.port)) if name.startswith("APP_") else value
            for name, value in self._environment.items()
        }

    def _running(self) -> "subprocess.Popen[bytes] | Warm":
        assert self._process is not None, "the worker does not run"
        return self._process


class Server:
    """Some workers. A test speaks to the one it means; together they are what a load balancer would see."""

    def __init__(self, workers: list[Worker]) -> None:
        self.workers = workers

    @property
    def base_url(self) -> str:
        return self.workers[0].url

    @property
    def ports(self) -> list[int]:
        return [worker.port for worker in self.workers]

    def logs(self) -> str:
        return "\n".join(worker.log() for worker in self.workers)


@asynccontextmanager
async def serving(urls: Urls, *, workers: int = 1, **configured: str) -> AsyncIterator[Server]:
    """A running server; whatever of it still runs at the end of the block is stopped."""
    async with _serving(environment_for(urls, **configured), workers) as server:
        yield server


@asynccontextmanager
async def serving_counted(urls: Urls, *, workers: int = 1, **configured: str) -> AsyncIterator[Server]:
    """A running server for tests of what only the process does: coverage counts its lines."""
    counting = {key: text for key, text in os.environ.items() if key.startswith(COUNTING)}
    async with _serving(environment_for(urls, **configured) | counting, workers) as server:
        yield server


@asynccontextmanager
async def _serving(environment: dict[str, str], workers: int) -> AsyncIterator[Server]:
    environment["KEYSTEAD_WORKERS"] = str(workers)
    with tempfile.TemporaryDirectory(prefix="keystead-server-") as folder:
        server = Server([Worker(environment, Path(folder), number) for number in range(workers)])
        try:
            await asyncio.gather(*(worker.start() for worker in server.workers))
            yield server
        finally:
            for worker in server.workers:
                await worker.close()


def _says_ready(pipe: int) -> bool:
    """Whether a byte came, and in time; the end of the worker is the end of the pipe."""
    readable, _, _ = select.select([pipe], [], [], _START_SECONDS)
    return bool(readable) and bool(os.read(pipe, 1))
