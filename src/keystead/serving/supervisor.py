"""`serve`: listeners, embedded servers, workers and metrics, from the first start to the last request."""

import os
import selectors
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from time import monotonic

import msgspec
import structlog

from keystead.embedded.errors import EmbeddedError
from keystead.embedded.folder import DataFolder
from keystead.embedded.launcher import Embedded
from keystead.kernel.errors import CannotStart, Refusal
from keystead.kernel.telemetry import configure_logging
from keystead.serving.banner import Situation, banner
from keystead.serving.crew import Crew, CrewLost
from keystead.serving.instance import completed, wanted_by
from keystead.serving.listeners import listen, url_of
from keystead.serving.metrics import serving_metrics
from keystead.serving.signals import Signals, stop_by_exception
from keystead.settings import Settings

log = structlog.get_logger("supervisor")

WORKER = (sys.executable, "-m", "keystead.serving.worker")

EXIT_STOPPED = 0
EXIT_LOST = 1
EXIT_CANNOT_START = 2

_TICK = 0.25
_MARGIN = 5.0  # beyond the drain and the longest request, for whatever else a worker does at its end
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
            return _Service(settings, stack).run(workers=workers, prepare=prepare, worker=worker)
    except (CannotStart, EmbeddedError, Unavailable) as error:
        return _complain(str(error), EXIT_CANNOT_START)
    except CrewLost:
        return _complain("Workers end before they are ready, again and again: see above why.", EXIT_LOST)
    except KeyboardInterrupt:
        return EXIT_STOPPED


class _Service:
    """The parts in the order of their start; `stack` ends them in the opposite one."""

    def __init__(self, settings: Settings, stack: ExitStack) -> None:
        self._given = settings
        self._stack = stack

    def run(self, *, workers: int | None, prepare: Callable[[Settings], None], worker: Sequence[str]) -> int:
        server = self._given.server
        size = workers or server.workers or os.cpu_count() or 1
        wanted = wanted_by(self._given)
        folder = self._enter(DataFolder.open(self._given.embedded.data_dir)) if wanted.anything else None
        # Workers of a supervisor that was killed still finish what they had begun.
        patience = server.drain_secs + _MARGIN if folder and folder.was_left_in_a_hurry else 0
        listener = self._enter(listen(server.host, server.port, setting="APP_SERVER__PORT", patience=patience))
        metrics = self._enter(self._listen_for_metrics(patience))
'''
