"""Servers as processes: Keystead as `keystead serve` starts it, and what it is compared with."""

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from http import HTTPStatus
from pathlib import Path
from time import monotonic, perf_counter, sleep

from bench import procfs
from keystead.embedded.process import descriptors, tethered

_PATIENCE = 60.0
_POLL = 0.005


class Server:
    """One server on 127.0.0.1. What it says goes to a file, as it would in production."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        port: int,
        log: Path,
        ready_at: str = "/",
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        self.port = port
        self._command = command
        self._log = log
        self._ready_at = ready_at
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server does not run"
        return self._process.pid

    def start(self) -> float:
        """Returns when it is ready, with the seconds that took."""
        started = perf_counter()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                tethered(self._command, ending=signal.SIGTERM),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=descriptors(),
                start_new_session=True,
            )
        deadline = monotonic() + _PATIENCE
        while not self._is_ready():
            if self._process.poll() is not None or monotonic() > deadline:
                raise RuntimeError(f"{' '.join(self._command)} did not start: {self._last_words()}")
            sleep(_POLL)
        return perf_counter() - started

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_PATIENCE)
            self._process = None

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
        with suppress(OSError, http.client.HTTPException), closing(connection):
            connection.request("GET", self._ready_at)
            return connection.getresponse().status == HTTPStatus.OK
        return False

    def _last_words(self) -> str:
        return self._log.read_text("utf-8", "replace")[-2000:]


class Keystead(Server):
    """`keystead serve` over servers and data of its own in a new folder, configured as delivered but for `settings`."""

    def __init__(self, folder: Path, *, workers: int, **settings: str) -> None:
        folder.mkdir(mode=0o711)
        port = free_port()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("APP_")}
        self.environ = {
            "APP_ENV": "development",  # brings its own servers
            "APP_SERVER__PORT": str(port),
            "APP_OBSERVABILITY__METRICS__PROMETHEUS_ENDPOINT": f"127.0.0.1:{free_port()}",
            "APP_EMBEDDED__DATA_DIR": str(folder / "data"),
            "APP_LOGGING__FORMAT": "json",  # as in production
            "APP_AUTH__ACCESS_TOKEN_TTL_SECS": "3600",  # none expires while it is measured
            **{f"APP_{name}": value for name, value in settings.items()},
        }
        super().__init__(
            (sys.executable, "-m", "keystead", "serve", "--workers", str(workers)),
            port=port,
            log=folder / "serve.log",
            ready_at="/health/ready",
            environment={**inherited, **self.environ},
        )

    def worker_pids(self) -> list[int]:
        return [pid for pid in procfs.family(self.pid) if procfs.part(pid) == "workers"]


def bare_starlette(folder: Path, *, workers: int) -> Server:
    """A route that answers JSON, on uvicorn as Keystead uses it."""
    port = free_port()
    options = ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--workers", str(workers))
    command = (sys.executable, "-m", "uvicorn", "bench.comparison:app", "--port", str(port), *options)
    return Server(command, port=port, log=folder / "starlette.log")


def least(folder: Path) -> Server:
    """The server that does nothing."""
    port = free_port()
    return Server((sys.executable, "-m", "bench.comparison", str(port)), port=port, log=folder / "least.log")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
