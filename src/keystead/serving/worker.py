"""One worker process: a core, its transports, and an event loop."""

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
import sys
from collections.abc import Iterator
from datetime import timedelta

import structlog
import uvicorn
import uvloop

from keystead.api.rest.server import rest_app
from keystead.kernel.config import ConfigError
from keystead.kernel.errors import CannotStart, Unavailable
from keystead.kernel.jobs import keep_doing
from keystead.kernel.telemetry import configure_logging
from keystead.serving.drain import Drain, refuse_new_connections
from keystead.serving.http import BoundedHttp
from keystead.settings import Settings, load
from keystead.wiring import open_core

log = structlog.get_logger("worker")

BACKLOG = 2048
MOST_DESCRIPTORS = 1 << 20
MOST_UNSENT_BYTES = 65536
GARBAGE_THRESHOLDS = (5_000, 5, 200)
ACCEPT_WHAT_WAITS = timedelta(milliseconds=100)
KNOWN_PASSWORDS_INTERVAL = timedelta(seconds=5)
MAIL_INTERVAL = timedelta(milliseconds=500)
PLACES_INTERVAL = timedelta(seconds=10)
SWEEP_INTERVAL = timedelta(minutes=10)


class _Server(uvicorn.Server):
    """Uvicorn, with the signals left to us."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        _tell_supervisor()
        log.info("worker.ready", pid=os.getpid())


def main() -> int:
    """Serve on the listening socket that the supervisor handed over, until told to stop."""
    try:
        settings = load().settings
        configure_logging(level=settings.logging.level, form=settings.logging.format)
        listener = socket.socket(fileno=int(os.environ["KEYSTEAD_LISTEN_FD"]))
        _bound_what_is_unsent(listener)
        _take_descriptors()
        uvloop.run(_serve(settings, listener))
    except (ConfigError, CannotStart, Unavailable) as error:
        log.error("worker.cannot_start", reason=str(error))  # noqa: TRY400 - the text is the whole of it
        return 2
    return 0


async def _serve(settings: Settings, listener: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    drain = Drain(settings.server.drain_secs)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, drain.start)
    async with open_core(settings, workers=int(os.environ["KEYSTEAD_WORKERS"])) as running:
        server = _Server(_config(settings, rest_app(running.core, settings, drain)))
        _collect_rarely()
        async with asyncio.TaskGroup() as beside:  # one that fails takes the worker with it, to be replaced
            core = running.core
            tasks = (
                beside.create_task(running.keyring.keep_fresh()),
                beside.create_task(core.applications.book.keep_fresh()),
                beside.create_task(core.networks.book.keep_fresh()),
                beside.create_task(keep_doing("places", core.places.refresh, every=PLACES_INTERVAL)),
                beside.create_task(
                    keep_doing(
                        "known_passwords", running.known_passwords.look_again, every=KNOWN_PASSWORDS_INTERVAL
                    )
                ),
                beside.create_task(keep_doing("mail", core.mail.deliver, every=MAIL_INTERVAL)),
                beside.create_task(keep_doing("sweep", core.operations.sweep, every=SWEEP_INTERVAL)),
                beside.create_task(_stop_when_drained(drain, listener, server)),
            )
            await server.serve(sockets=[listener])
            for task in tasks:
                task.cancel()


def _collect_rarely() -> None:
    """Whatever is here now stays, and need not be looked through again. By default everything else is, as soon as it
    has grown by a quarter: with thousands of connections nobody is answered meanwhile, for half a second."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)


def _config(settings: Settings, app: object) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # uvicorn's types are those of another ASGI typing package
        loop="none",
        http=_protocol(settings),
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,
        log_config=None,
        proxy_headers=False,  # who is believed is ours to decide: api/address.py
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=int(settings.server.request_timeout_secs) + 1,
    )


def _bound_what_is_unsent(listener: socket.socket) -> None:
    """Of each connection. The system would take megabytes off our hands, for peers that never take them off its own."""
    if sys.platform == "linux":
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MOST_UNSENT_BYTES)


def _take_descriptors() -> None:
    """Each connection needs one, and shells give a thousand: take as many as the system lets us have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    with contextlib.suppress(ValueError, OSError):  # where fewer may be had than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _protocol(settings: Settings) -> type[BoundedHttp]:
    class Http(BoundedHttp):
        head_seconds = answer_seconds = settings.server.request_timeout_secs

    return Http


async def _stop_when_drained(drain: Drain, listener: socket.socket, server: uvicorn.Server) -> None:
    await drain.finished()
    try:
        refuse_new_connections(listener)
        await asyncio.sleep(ACCEPT_WHAT_WAITS.total_seconds())
    finally:
        server.should_exit = True


def _tell_supervisor() -> None:
    """One byte: from now on requests are answered."""
    if (descriptor := os.environ.get("KEYSTEAD_READY_FD")) is not None:
        os.write(int(descriptor), b"\n")
        os.close(int(descriptor))


if __name__ == "__main__":
    sys.exit(main())
