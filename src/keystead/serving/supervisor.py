"""`serve`: listeners, embedded servers, workers and metrics, from the first start to the last request."""

import os
import selectors
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from time import monotonic

import msgspec
import structlog

from keystead.embedded.errors import EmbeddedError
from keystead.embedded.folder import DataFolder
from keystead.embedded.launcher import Embedded
from keystead.kernel.errors import CannotStart, Unavailable
from keystead.kernel.telemetry import configure_logging
from keystead.serving.banner import Situation, banner
from keystead.serving.crew import Crew, CrewLost
from keystead.serving.instance import completed, wanted_by
from keystead.serving.listeners import listen, url_of
from keystead.serving.metrics import serving_metrics
from keystead.serving.signals import Signals, stop_by_exception
from keystead.settings import Settings

log = structlog.get_logger("supervisor")

WORKER = (sys.executable, "-P", "-m", "keystead.serving.worker")  # -P: no code from the current folder

EXIT_STOPPED = 0
EXIT_LOST = 1
EXIT_CANNOT_START = 2

_TICK = 0.25
_MARGIN = 3.0  # beyond the drain and the longest request, for whatever else a worker does at its end
_CONNECTIONS_BESIDE_OURS = 20  # migrations, commands, psql


def serve(
    settings: Settings,
    *,
    workers: int | None = None,
    prepare: Callable[[Settings], None] = lambda _: None,
    worker: Sequence[str] = WORKER,
) -> int:
    """Serve until told to stop, and return the exit code. What prevents a start is said on standard error.

    `prepare` gets the complete settings before any worker starts; it raises CannotStart where that makes no sense.
    """
    configure_logging(level=settings.logging.level, form=settings.logging.format)
    stop_by_exception()
    try:
        with ExitStack() as stack:
            return _serve(settings, stack, size=workers, prepare=prepare, worker=worker)
    except (CannotStart, EmbeddedError, Unavailable) as error:
        return _complain(str(error), EXIT_CANNOT_START)
    except CrewLost:
        return _complain("Workers end before they are ready, again and again: see above why.", EXIT_LOST)
    except KeyboardInterrupt:
        return EXIT_STOPPED


def _serve(
    given: Settings,
    stack: ExitStack,
    *,
    size: int | None,
    prepare: Callable[[Settings], None],
    worker: Sequence[str],
) -> int:
    """Start the parts in order; `stack` ends them in the opposite one."""
    folder = None
    if wanted_by(given).anything:
        folder = stack.enter_context(DataFolder.open(given.embedded.data_dir))
    listener, metrics_listener = _listen(given, folder, stack)
    settings = _with_port(given, listener.getsockname()[1])
    embedded = None
    if folder:
        embedded, settings = _start_embedded(settings, folder, url_of(listener), stack)
    prepare(settings)
    metrics_url = f"{url_of(metrics_listener)}/metrics"
    figures = stack.enter_context(serving_metrics(metrics_listener, folder.path if folder else None))
    size = size or settings.server.workers or os.cpu_count() or 1
    selector = stack.enter_context(selectors.DefaultSelector())
    crew = Crew(
        size,
        command=worker,
        environment=os.environ | _handed_over(given, settings) | {"PROMETHEUS_MULTIPROC_DIR": figures.folder},
        listener=listener.fileno(),
        selector=selector,
        figures=figures,
    )
    stack.callback(crew.kill)
    situation = Situation(
        profile=settings.profile,
        url=url_of(listener),
        metrics_url=metrics_url,
        workers=size,
        data=folder.path if folder else None,
        database=embedded.database if embedded else None,
        has_embedded_redis=given.redis.url is None,
        keeps_mail=settings.mail.host is None,
    )
    return _Watch(settings, crew, embedded, listener, selector, situation).run()


class _Watch:
    """From the first worker's start to the last one's end."""

    def __init__(
        self,
        settings: Settings,
        crew: Crew,
        embedded: Embedded | None,
        listener: socket.socket,
        selector: selectors.BaseSelector,
        situation: Situation,
    ) -> None:
        self._grace = settings.server.drain_secs + settings.server.request_timeout_secs + _MARGIN
        self._crew = crew
        self._embedded = embedded
        self._listener = listener
        self._selector = selector
        self._situation = situation
        self._announced = False
        self._deadline: float | None = None

    def run(self) -> int:
        with Signals() as signals:
            self._selector.register(signals, selectors.EVENT_READ)
            while self._deadline is None or not self._crew.is_gone:
                self._step()
                self._selector.select(_TICK)
                for _ in range(signals.count_stops()):
                    self._stop()
        log.info("serve.stopped")
        return EXIT_STOPPED

    def _step(self) -> None:
        for event in self._embedded.poll() if self._embedded else ():
            log.warning("embedded.changed", server=event.server, what=event.what, detail=event.detail)
        self._crew.poll()
        if self._crew.is_complete and not self._announced:
            self._announced = True
            _announce(self._situation)
        if self._deadline is not None and monotonic() > self._deadline:
            log.warning("serve.forced")
            self._crew.kill()

    def _stop(self) -> None:
        """Pass the request on. Workers then decide about the listener alone: what they accepted, they answer."""
        log.info("serve.stopping", hurried=self._deadline is not None)
        if self._deadline is None:
            self._deadline = monotonic() + self._grace
            self._listener.close()
        self._crew.stop()


def _listen(
    settings: Settings, folder: DataFolder | None, stack: ExitStack
) -> tuple[socket.socket, socket.socket]:
    """The listeners of the API and of the metrics."""
    # Workers of a supervisor that was killed may still be finishing what they had begun.
    patience = settings.server.drain_secs + _MARGIN if folder and folder.was_left_in_a_hurry else 0
    host, _, port = settings.observability.metrics.prometheus_endpoint.rpartition(":")
    api = listen(settings.server.host, settings.server.port, setting="APP_SERVER__PORT", patience=patience)
    stack.enter_context(api)
    name = "APP_OBSERVABILITY__METRICS__PROMETHEUS_ENDPOINT"
    metrics = listen(host.strip("[]"), int(port), setting=name, patience=patience)
    return api, stack.enter_context(metrics)


def _start_embedded(
    settings: Settings, folder: DataFolder, url: str, stack: ExitStack
) -> tuple[Embedded, Settings]:
    """The servers that nobody configured, and the settings with them."""
    embedded = Embedded(
        folder,
        wanted_by(settings),
        pg_bin=settings.embedded.pg_bin,
        max_connections=settings.database.max_connections + _CONNECTIONS_BESIDE_OURS,
    )
    stack.callback(embedded.stop)
    endpoints = embedded.start()
    folder.announce(url=url, endpoints=endpoints)
    return embedded, completed(settings, endpoints)


def _with_port(settings: Settings, port: int) -> Settings:
    """Port 0 stands for a free one; tokens name the real one."""
    return msgspec.structs.replace(settings, server=msgspec.structs.replace(settings.server, port=port))


def _handed_over(given: Settings, settings: Settings) -> dict[str, str]:
    """What workers cannot read in the configuration, because it was found out here, as environment variables."""
    secrets = (
        ("APP_DATABASE__URL", given.database.url, settings.database.url),
        ("APP_REDIS__URL", given.redis.url, settings.redis.url),
        ("APP_AUTH__JWT_SECRET", given.auth.jwt_secret, settings.auth.jwt_secret),
    )
    found = {name: new.reveal() for name, old, new in secrets if old is None and new is not None}
    if settings.server.port != given.server.port:
        found["APP_SERVER__PORT"] = str(settings.server.port)
    return found


def _announce(situation: Situation) -> None:
    if situation.profile == "development":
        sys.stderr.write(banner(situation))
        sys.stderr.flush()
    else:
        log.info(
            "serve.ready", url=situation.url, metrics_url=situation.metrics_url, workers=situation.workers
        )


def _complain(message: str, code: int) -> int:
    for line in message.splitlines():
        sys.stderr.write(f"keystead: {line}\n")
    return code
