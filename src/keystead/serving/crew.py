"""The workers: as many as wanted, replaced when they die, stopped together."""

import os
import selectors
import signal
import subprocess
from collections.abc import Mapping, Sequence
from time import monotonic

import structlog

from keystead.embedded.process import describe_exit, descriptors, tethered
from keystead.serving.metrics import Figures

log = structlog.get_logger("supervisor")

_GIVE_UP_AFTER = 5
_LONGEST_PAUSE = 10.0
_STABLE_AFTER = 30.0


class CrewLost(Exception):
    """No worker is left, and new ones end before they are ready, again and again."""


class Worker:
    """One worker process and the pipe by which it says that it is ready."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], listener: int) -> None:
        self.ready_pipe, write_end = os.pipe()
        try:
            self.process = subprocess.Popen(
                tethered(command, ending=signal.SIGTERM),
                env={**environment, "KEYSTEAD_LISTEN_FD": str(listener), "KEYSTEAD_READY_FD": str(write_end)},
                stdin=subprocess.DEVNULL,
                pass_fds=descriptors(listener, write_end),
                start_new_session=True,  # a Ctrl-C at the terminal is ours to pass on
            )
        except OSError:
            os.close(self.ready_pipe)
            raise
        finally:
            os.close(write_end)
        os.set_blocking(self.ready_pipe, False)
        self.started_at = monotonic()
        self.is_starting = True
        self.is_ready = False

    def look(self) -> None:
        """See whether it has become ready; it tells once, and then or at its end closes the pipe."""
        try:
            self.is_ready = bool(os.read(self.ready_pipe, 1))
        except BlockingIOError:
            return
        self.is_starting = False


class Crew:
    """`poll` often, or when `selector` says that there is something to see."""

    def __init__(
        self,
        size: int,
        *,
        command: Sequence[str],
        environment: Mapping[str, str],
        listener: int,
        selector: selectors.BaseSelector,
        figures: Figures,
    ) -> None:
        self._size = size
        self._command = command
        self._environment = {**environment, "KEYSTEAD_WORKERS": str(size)}
        self._listener = listener
        self._selector = selector
        self._figures = figures
        self._workers: list[Worker] = []
        self._failed_starts = 0
        self._young_deaths = 0
        self._next_start = 0.0
        self._is_stopping = False

    @property
    def is_complete(self) -> bool:
        return len(self._workers) == self._size and all(worker.is_ready for worker in self._workers)

    @property
    def is_gone(self) -> bool:
        return not self._workers

    def poll(self) -> None:
        """See who has become ready and who has died, and replace them. Raises CrewLost when that is hopeless."""
        for worker in list(self._workers):
            if worker.is_starting:
                self._look(worker)
            if (code := worker.process.poll()) is not None:
                self._bury(worker, code)
        while not self._is_stopping and len(self._workers) < self._size and monotonic() >= self._next_start:
            self._start_one()

    def stop(self) -> None:
        """Ask every worker to end; again, to be quick about it."""
        self._is_stopping = True
        for worker in self._workers:
            worker.process.terminate()

    def kill(self) -> None:
        """End those that would not, and start no more."""
        self._is_stopping = True
        for worker in list(self._workers):
            worker.process.kill()
            self._bury(worker, worker.process.wait())

    def _start_one(self) -> None:
        try:
            worker = Worker(self._command, self._environment, self._listener)
        except OSError as error:  # no memory, process or descriptor to be had just now
            log.error("worker.not_started", reason=str(error))  # noqa: TRY400 - the text is the whole of it
            self._plan_next(lived=0, was_ready=False)
            return
        self._selector.register(worker.ready_pipe, selectors.EVENT_READ)
        self._workers.append(worker)

    def _look(self, worker: Worker) -> None:
        worker.look()
        if not worker.is_starting:
            self._selector.unregister(worker.ready_pipe)
        if worker.is_ready:
            self._failed_starts = 0

    def _bury(self, worker: Worker, code: int) -> None:
        self._workers.remove(worker)
        if worker.is_starting:
            self._selector.unregister(worker.ready_pipe)
        os.close(worker.ready_pipe)
        self._figures.forget(worker.process.pid)
        if not self._is_stopping:
            log.error(
                "worker.died", pid=worker.process.pid, outcome=describe_exit(code), was_ready=worker.is_ready
            )
            self._plan_next(lived=monotonic() - worker.started_at, was_ready=worker.is_ready)

    def _plan_next(self, *, lived: float, was_ready: bool) -> None:
        """The next start: at once after a first death, then after pauses that grow for as long as they die young."""
        self._failed_starts += not was_ready
        if self._failed_starts >= _GIVE_UP_AFTER and not any(each.is_ready for each in self._workers):
            raise CrewLost
        self._young_deaths = self._young_deaths + 1 if lived < _STABLE_AFTER else 0
        pause = 0.1 * (2 ** max(0, self._young_deaths - 1) - 1)
        self._next_start = monotonic() + min(pause, _LONGEST_PAUSE)
